package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ReleaseHolds ends expired holds, so that their units become available.
func (s *Shop) ReleaseHolds(ctx context.Context) error {
	rows, err := s.db.Query(ctx, `
		SELECT DISTINCT cart_id::text
		FROM sale_holds
		WHERE state = 'held' AND expires_at <= now() - interval '`+saleGrace+`'
		LIMIT 500`)
	if err != nil {
		return fmt.Errorf("find expired holds: %w", err)
	}
	carts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("find expired holds: %w", err)
	}
	var problems []error
	for _, cart := range carts {
		problems = append(problems, s.lapse(ctx, cart, saleGrace))
	}
	return errors.Join(problems...)
}

// ForgetHolds deletes the holds of sales that were closed a day ago. Any number of
// processes may run it at once.
func (s *Shop) ForgetHolds(ctx context.Context) error {
	for {
		forgotten, err := s.db.Exec(ctx, `
			DELETE FROM sale_holds
			WHERE (cart_id, claim_id) IN (
				SELECT h.cart_id, h.claim_id
				FROM sale_holds h
				JOIN flash_sales s ON s.id = h.sale_id
				WHERE h.state <> 'held' AND s.closed_at < now() - interval '1 day'
				LIMIT 1000
			)`)
		if err != nil {
			return fmt.Errorf("forget holds: %w", err)
		}
		if forgotten.RowsAffected() == 0 {
			break
		}
	}
	_, err := s.db.Exec(ctx, `
		DELETE FROM sale_lapses
		WHERE sale_id IN (SELECT id FROM flash_sales WHERE closed_at < now() - interval '1 day')`)
	if err != nil {
		return fmt.Errorf("forget lapses: %w", err)
	}
	return nil
}

// Private

// lapse ends the holds of a cart that expired more than grace ago, an interval of
// PostgreSQL. Their units stay in the cart as lapsed, at the ordinary price.
func (s *Shop) lapse(ctx context.Context, cartID, grace string) error {
	var sales []Sale
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := lockCart(ctx, tx, cartID); err != nil {
			return err
		}
		// In the order of the sales, so that this cannot deadlock with an order.
		rows, err := tx.Query(ctx, `
			SELECT sale_id, claim_id::text, holder FROM sale_holds
			WHERE cart_id = $1 AND state = 'held' AND expires_at <= now() - $2::interval
			ORDER BY sale_id, claim_id`, cartID, grace)
		if err != nil {
			return fmt.Errorf("find expired holds: %w", err)
		}
		type hold struct {
			saleID          int64
			claimID, holder string
		}
		holds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (hold, error) {
			var one hold
			err := row.Scan(&one.saleID, &one.claimID, &one.holder)
			return one, err
		})
		if err != nil {
			return fmt.Errorf("find expired holds: %w", err)
		}
		for _, one := range holds {
			if err := freeUnit(ctx, tx, one.saleID); err != nil {
				return err
			}
			if err := countLapse(ctx, tx, one.saleID, cartID, one.holder); err != nil {
				return err
			}
			sale, err := readSale(ctx, tx, one.saleID)
			if err != nil {
				return err
			}
			sales = append(sales, sale)
			if err := lapseHold(ctx, tx, cartID, one.claimID, sale.Variant.ID); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, sale := range sales {
		s.metrics.lapsed.Inc()
		s.storeUnits(ctx, sale)
	}
	if len(sales) > 0 {
		s.enqueueBroadcast(ctx, BroadcastCart{CartID: cartID})
	}
	return nil
}

func lapseHold(ctx context.Context, tx pgx.Tx, cartID, claimID string, variantID int64) error {
	if _, err := tx.Exec(ctx, `UPDATE sale_holds SET state = 'lapsed' WHERE cart_id = $1 AND claim_id = $2`, cartID, claimID); err != nil {
		return fmt.Errorf("end hold: %w", err)
	}
	_, err := tx.Exec(ctx, `
		INSERT INTO cart_lines (cart_id, variant_id, quantity)
		SELECT id, $2, 1 FROM carts WHERE id = $1
		ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = least(cart_lines.quantity + 1, $3)`, cartID, variantID, MaxQuantity)
	if err != nil {
		return fmt.Errorf("put lapsed unit into cart: %w", err)
	}
	return nil
}

// forgetLapsed deletes the lapsed holds of a variant in a cart. The shopper has
// changed that line, and so has seen the notice about them.
func forgetLapsed(ctx context.Context, tx pgx.Tx, id string, variantID int64) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM sale_holds h
		USING flash_sales s
		WHERE s.id = h.sale_id AND h.cart_id = $1 AND h.state = 'lapsed' AND s.variant_id = $2`, id, variantID)
	if err != nil {
		return fmt.Errorf("forget lapsed holds: %w", err)
	}
	return nil
}

// renewHolds renews the holds that lapsed in a cart and expired less than saleHold
// ago, while the sale has units left. Renewed reports whether any was renewed.
func (s *Shop) renewHolds(ctx context.Context, cartID string) (renewed bool, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := lockCart(ctx, tx, cartID); err != nil {
			return err
		}
		sales, err := readSales(ctx, tx, `
			WHERE s.id IN (
				SELECT sale_id FROM sale_holds
				WHERE cart_id = $1 AND state = 'lapsed' AND expires_at > now() - $2::interval
			)
			ORDER BY s.id`, cartID, s.saleHold)
		if err != nil {
			return err
		}
		for _, sale := range sales {
			claim := Claim{ID: uuid.NewString(), CartID: cartID, SaleID: sale.ID}
			if claim.Holder, err = holderOf(ctx, tx, cartID, sale.ID); err != nil {
				return err
			}
			// A savepoint: a refusal must not keep the unit that was taken.
			err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return s.holdUnit(ctx, tx, sale, claim) })
			renewed = renewed || err == nil
			if err != nil && !isRefusal(err) {
				return err
			}
		}
		return nil
	})
	return renewed && err == nil, err
}

// holderOf is the holder of the lapsed holds of a cart.
func holderOf(ctx context.Context, tx pgx.Tx, cartID string, saleID int64) (holder string, err error) {
	err = tx.QueryRow(ctx, `
		SELECT max(holder) FROM sale_holds
		WHERE cart_id = $1 AND sale_id = $2 AND state = 'lapsed'`, cartID, saleID,
	).Scan(&holder)
	if err != nil {
		return "", fmt.Errorf("find holder: %w", err)
	}
	return holder, nil
}

// takeBackLapsed undoes one lapse in a cart that holds a unit again: it removes the
// lapsed unit, so that the cart does not have it twice.
func takeBackLapsed(ctx context.Context, tx pgx.Tx, sale Sale, claim Claim) error {
	lapsed, err := tx.Exec(ctx, `
		DELETE FROM sale_holds
		WHERE cart_id = $1 AND claim_id = (
			SELECT claim_id FROM sale_holds
			WHERE cart_id = $1 AND sale_id = $2 AND state = 'lapsed'
			ORDER BY claim_id = $3 DESC, held_at
			LIMIT 1
		)`, claim.CartID, sale.ID, claim.ID)
	if err != nil {
		return fmt.Errorf("forget lapsed hold: %w", err)
	}
	if lapsed.RowsAffected() == 0 {
		return nil
	}
	line := []any{claim.CartID, sale.Variant.ID}
	removed, err := tx.Exec(ctx, `DELETE FROM cart_lines WHERE cart_id = $1 AND variant_id = $2 AND quantity = 1`, line...)
	if err == nil && removed.RowsAffected() == 0 {
		_, err = tx.Exec(ctx, `UPDATE cart_lines SET quantity = quantity - 1 WHERE cart_id = $1 AND variant_id = $2`, line...)
	}
	if err != nil {
		return fmt.Errorf("remove lapsed unit from cart: %w", err)
	}
	return nil
}
