package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// TendSales opens and closes flash sales, and ends expired holds. Any number of
// workers may run it at once. While no worker runs it, sales still begin and end by
// the clock of the database, but the units of expired holds become available only
// when a shopper claims one.
func (s *Shop) TendSales(ctx context.Context) error {
	return errors.Join(s.OpenSales(ctx), s.ReleaseHolds(ctx), s.CloseSales(ctx))
}

// OpenSales marks the sales that have begun, so that ShowSales updates open pages.
// The sales themselves begin by the clock alone.
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

// CloseSales ends the sales whose time is over. When no cart holds a unit of such
// a sale, it closes the sale and returns the unsold units to the stock.
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
		// One sale in each statement: orders lock several variants in the order of
		// their ids, so locking two here could deadlock.
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
