package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// TendSales opens and closes the flash sales whose time it is, and ends the
// holds whose time is over. Any number of workers may do it at once. While none
// does, sales begin and end all the same, by the clock of the database; units
// of expired holds then come back only when somebody asks for one.
func (s *Shop) TendSales(ctx context.Context) error {
	return errors.Join(s.OpenSales(ctx), s.ReleaseHolds(ctx), s.CloseSales(ctx))
}

// OpenSales tells open pages of the sales that have begun. That they have is a
// matter of the clock alone.
func (s *Shop) OpenSales(ctx context.Context) error {
	_, err := s.db.Exec(ctx, `
		UPDATE flash_sales
		SET opened_at = now(), version = version + 1
		WHERE id IN (
			SELECT id FROM flash_sales
			WHERE opened_at IS NULL AND closed_at IS NULL AND starts_at <= now()
			ORDER BY id
			FOR NO KEY UPDATE
		)`)
	if err != nil {
		return fmt.Errorf("open sales: %w", err)
	}
	return nil
}

// CloseSales ends the sales whose time is over, and puts what they have not
// sold back into stock once no cart holds a unit any more.
func (s *Shop) CloseSales(ctx context.Context) error {
	_, err := s.db.Exec(ctx, `
		UPDATE flash_sales
		SET ended_at = now(), version = version + 1
		WHERE id IN (
			SELECT id FROM flash_sales
			WHERE ended_at IS NULL AND closed_at IS NULL AND ends_at <= now()
			ORDER BY id
			FOR NO KEY UPDATE
		)`)
	if err != nil {
		return fmt.Errorf("end sales: %w", err)
	}
	for {
		// One at a time, so that two variants are never locked at once: orders
		// lock several, in an order of their own.
		var productID int64
		err := s.db.QueryRow(ctx, `
			WITH closed AS (
				UPDATE flash_sales
				SET closed_at = now(), version = version + 1
				WHERE held = 0 AND closed_at IS NULL AND id = (
					SELECT id FROM flash_sales
					WHERE ended_at IS NOT NULL AND closed_at IS NULL AND held = 0
					LIMIT 1
				)
				RETURNING variant_id, units - sold AS unsold
			)
			UPDATE variants v
			SET stock = stock + closed.unsold
			FROM closed
			WHERE v.id = closed.variant_id
			RETURNING v.product_id`,
		).Scan(&productID)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("close sale: %w", err)
		}
		s.enqueueBroadcast(ctx, BroadcastStock{ProductIDs: []int64{productID}})
	}
}

// Private

// Whatever locks several sales does so in the order of their ids, as orders do.
