package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// ReconcileStock compares the counts of flash sales with carts and orders, in one
// snapshot. It logs and counts every discrepancy. It corrects the number of held
// units, which only limits what can be sold. All other discrepancies concern
// payments, so an operator must resolve them.
func (s *Shop) ReconcileStock(ctx context.Context) error {
	found, err := s.discrepancies(ctx)
	if err != nil {
		return fmt.Errorf("reconcile stock: %w", err)
	}
	var problems []error
	for _, one := range found {
		s.metrics.discrepancies.WithLabelValues(string(one.Rule)).Inc()
		s.log.ErrorContext(ctx, "Stock does not add up",
			"rule", string(one.Rule), "sale", one.SaleID, "cart", one.Cart, "counted", one.Counted, "expected", one.Expected)
		if one.Rule == heldRule {
			problems = append(problems, s.correctHeld(ctx, one.SaleID))
		}
	}
	return errors.Join(problems...)
}

// Private

// stockRule is a rule for sales, holds and orders.
type stockRule string

const (
	heldRule    stockRule = "held"    // the held units of a sale equal its holds
	soldRule    stockRule = "sold"    // the sold units of a sale equal its sold holds
	orderedRule stockRule = "ordered" // each sold hold has a line in an order of its cart
	orphanRule  stockRule = "orphan"  // each hold has a cart
)

var stockRules = []stockRule{heldRule, soldRule, orderedRule, orphanRule}

// discrepancy is one violation of a rule.
type discrepancy struct {
	Rule     stockRule
	SaleID   int64
	Cart     string // empty when it concerns the whole sale
	Counted  int    // the stored number
	Expected int    // the correct number
}

// discrepancies finds all violations in one snapshot. It leaves out sales that were
// closed more than 23 hours ago, because ForgetHolds deletes their holds after a day.
func (s *Shop) discrepancies(ctx context.Context) ([]discrepancy, error) {
	var found []discrepancy
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err := pgx.BeginTxFunc(ctx, s.db, snapshot, func(tx pgx.Tx) error {
		for _, query := range []string{`
			SELECT rule, s.id, '', counted, expected
			FROM flash_sales s
			CROSS JOIN LATERAL (
				SELECT count(*) FILTER (WHERE state = 'held') AS held, count(*) FILTER (WHERE state = 'sold') AS sold
				FROM sale_holds
				WHERE sale_id = s.id
			) AS holds
			CROSS JOIN LATERAL (VALUES ('held', s.held, holds.held), ('sold', s.sold, holds.sold)) AS rules (rule, counted, expected)
			WHERE ` + holdsExist + ` AND counted <> expected
			ORDER BY s.id, rule`, `
			WITH bought AS (
				SELECT s.id, s.variant_id, s.price_cents, h.cart_id, count(*) AS units
				FROM sale_holds h
				JOIN flash_sales s ON s.id = h.sale_id
				WHERE h.state = 'sold' AND ` + holdsExist + `
				GROUP BY s.id, h.cart_id
			)
			SELECT 'ordered', bought.id, bought.cart_id::text, bought.units, coalesce(sum(l.quantity), 0)
			FROM bought
			LEFT JOIN (order_lines l JOIN orders o ON o.id = l.order_id)
				ON o.cart_id = bought.cart_id AND l.variant_id = bought.variant_id AND l.price_cents = bought.price_cents
			GROUP BY bought.id, bought.cart_id, bought.units
			HAVING bought.units > coalesce(sum(l.quantity), 0)
			ORDER BY bought.id, bought.cart_id`, `
			SELECT 'orphan', h.sale_id, h.cart_id::text, count(*), 0
			FROM sale_holds h
			WHERE h.state = 'held' AND NOT EXISTS (SELECT FROM carts WHERE id = h.cart_id)
			GROUP BY h.sale_id, h.cart_id
			ORDER BY h.sale_id, h.cart_id`,
		} {
			rows, err := tx.Query(ctx, query)
			if err != nil {
				return err
			}
			broken, err := pgx.CollectRows(rows, pgx.RowToStructByPos[discrepancy])
			if err != nil {
				return err
			}
			found = append(found, broken...)
		}
		return nil
	})
	return found, err
}

const holdsExist = `(s.closed_at IS NULL OR s.closed_at > now() - interval '23 hours')`

// correctHeld counts the holds of a sale again, with the row of the sale locked.
// Every transaction that makes or ends a hold updates that row too.
func (s *Shop) correctHeld(ctx context.Context, saleID int64) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT FROM flash_sales WHERE id = $1 FOR NO KEY UPDATE`, saleID); err != nil {
			return fmt.Errorf("lock sale %d: %w", saleID, err)
		}
		_, err := tx.Exec(ctx, `
			UPDATE flash_sales s
			SET held = holds.held, version = version + 1
			FROM (SELECT count(*) AS held FROM sale_holds WHERE sale_id = $1 AND state = 'held') AS holds
			WHERE s.id = $1 AND s.held <> holds.held`, saleID)
		if err != nil {
			return fmt.Errorf("correct the held units of sale %d: %w", saleID, err)
		}
		return nil
	})
}
