package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Private

// changeCart runs change in a transaction that locks the row of the cart, and
// creates it if needed. Then it enqueues the update of the cart's open pages.
func (s *Shop) changeCart(ctx context.Context, id string, change func(tx pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// A cart older than CartLifetime restarts empty.
		_, err := tx.Exec(ctx, `
			DELETE FROM cart_lines
			WHERE cart_id IN (SELECT id FROM carts WHERE id = $1 AND updated_at <= now() - interval '30 days')`, id)
		if err != nil {
			return fmt.Errorf("empty old cart: %w", err)
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO carts (id) VALUES ($1)
			ON CONFLICT (id) DO UPDATE SET updated_at = now()`, id)
		if err != nil {
			return fmt.Errorf("store cart: %w", err)
		}
		return change(tx)
	})
	if err != nil {
		return err
	}
	s.tasks.Enqueue(ctx, BroadcastCart{CartID: id})
	return nil
}

func lockCart(ctx context.Context, tx pgx.Tx, id string) error {
	if _, err := tx.Exec(ctx, `SELECT FROM carts WHERE id = $1 FOR UPDATE`, id); err != nil {
		return fmt.Errorf("lock cart: %w", err)
	}
	return nil
}

func readCart(ctx context.Context, db querier, id string) (Cart, error) {
	rows, err := db.Query(ctx, `
		SELECT line.quantity, v.id, v.product_id, v.sku, v.name, v.price_cents, v.currency, v.stock,
		       p.id, p.slug, p.name, p.tagline, p.picture,
		       line.sale_id, line.sale_price_cents, line.claim_id, line.expires_at
		FROM (
			SELECT l.variant_id, l.quantity, l.added_at, lapsed.sale_id, lapsed.price_cents AS sale_price_cents,
			       NULL AS claim_id, NULL::timestamptz AS expires_at
			FROM cart_lines l
			LEFT JOIN LATERAL (
				SELECT h.sale_id, s.price_cents
				FROM sale_holds h
				JOIN flash_sales s ON s.id = h.sale_id
				WHERE h.cart_id = $1 AND h.state = 'lapsed' AND s.variant_id = l.variant_id
				LIMIT 1
			) AS lapsed ON true
			WHERE l.cart_id = $1
			UNION ALL
			SELECT s.variant_id, 1, h.held_at, s.id, s.price_cents, h.claim_id::text, h.expires_at
			FROM sale_holds h
			JOIN flash_sales s ON s.id = h.sale_id
			WHERE h.cart_id = $1 AND h.state = 'held'
		) AS line
		JOIN carts c ON c.id = $1
		JOIN variants v ON v.id = line.variant_id
		JOIN products p ON p.id = v.product_id
		WHERE c.updated_at > now() - interval '30 days'
		ORDER BY line.added_at, v.id, line.claim_id`, id)
	if err != nil {
		return Cart{}, fmt.Errorf("read cart: %w", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (CartLine, error) {
		var line CartLine
		var saleID, salePrice *int64
		var claimID *string
		var expiresAt *time.Time
		err := row.Scan(&line.Quantity, &line.Variant.ID, &line.Variant.ProductID, &line.Variant.SKU, &line.Variant.Name,
			&line.Variant.Price.Cents, &line.Variant.Price.Currency, &line.Variant.Stock,
			&line.Product.ID, &line.Product.Slug, &line.Product.Name, &line.Product.Tagline, &line.Product.Picture,
			&saleID, &salePrice, &claimID, &expiresAt)
		if salePrice != nil {
			price := Money{Cents: *salePrice, Currency: line.Variant.Price.Currency}
			if claimID != nil {
				line.Hold, line.price = &Hold{ClaimID: *claimID, SaleID: *saleID, ExpiresAt: *expiresAt}, price
			} else {
				line.Lapsed = &price
			}
		}
		line.Total = line.Price().Times(line.Quantity)
		return line, err
	})
	if err != nil {
		return Cart{}, fmt.Errorf("read cart: %w", err)
	}
	return Cart{ID: id, Lines: lines}.priced(), nil
}

// unitsStatement counts the units in a cart: none for a cart that does not exist, or is
// older than CartLifetime.
func unitsStatement(id string) statement[int] {
	return statement[int]{
		doing: "count units of cart",
		sql: `
		SELECT coalesce((SELECT sum(quantity) FROM cart_lines WHERE cart_id = c.id), 0) +
		       (SELECT count(*) FROM sale_holds WHERE cart_id = c.id AND state = 'held')
		FROM carts c
		WHERE c.id = $1 AND c.updated_at > now() - interval '30 days'`,
		arguments: []any{id},
		collect: func(rows pgx.Rows) (int, error) {
			units, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
			if errors.Is(err, pgx.ErrNoRows) {
				return 0, nil
			}
			return units, err
		},
	}
}

func unitsInCart(ctx context.Context, tx pgx.Tx, id string, variantID int64) (int, error) {
	var units int
	err := tx.QueryRow(ctx, `
		SELECT coalesce((SELECT quantity FROM cart_lines WHERE cart_id = $1 AND variant_id = $2), 0)`, id, variantID,
	).Scan(&units)
	if err != nil {
		return 0, fmt.Errorf("count units in cart: %w", err)
	}
	return units, nil
}

func setLine(ctx context.Context, tx pgx.Tx, id string, variantID int64, quantity int) error {
	if quantity > MaxQuantity {
		return ErrQuantity
	}
	short := &ShortError{VariantID: variantID}
	err := tx.QueryRow(ctx, `
		SELECT p.name || CASE v.name WHEN '' THEN '' ELSE ' (' || v.name || ')' END, v.stock
		FROM variants v
		JOIN products p ON p.id = v.product_id
		WHERE v.id = $1`, variantID,
	).Scan(&short.Name, &short.Left)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("find variant %d: %w", variantID, err)
	}
	if short.Left < quantity {
		return short
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO cart_lines (cart_id, variant_id, quantity) VALUES ($1, $2, $3)
		ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = excluded.quantity`, id, variantID, quantity)
	if err != nil {
		return fmt.Errorf("put into cart: %w", err)
	}
	return nil
}

func emptyCart(ctx context.Context, tx pgx.Tx, id string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM cart_lines WHERE cart_id = $1`, id); err != nil {
		return fmt.Errorf("empty cart: %w", err)
	}
	if _, err := tx.Exec(ctx, `DELETE FROM sale_holds WHERE cart_id = $1 AND state = 'lapsed'`, id); err != nil {
		return fmt.Errorf("forget lapsed holds: %w", err)
	}
	// The shopper asked for a reminder of these lines, and not of later ones.
	if _, err := tx.Exec(ctx, `UPDATE carts SET reminder_consent_at = NULL WHERE id = $1`, id); err != nil {
		return fmt.Errorf("end the reminder of a cart: %w", err)
	}
	return nil
}
