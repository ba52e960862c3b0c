package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
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
		s.broadcast(ctx, BroadcastStock{ProductIDs: []int64{productID}})
	}
}

// ReleaseHolds ends the holds whose time is over, so that others can have
// their units.
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

// ForgetHolds deletes the holds of sales that were closed a day ago. It may run
// in any number of processes.
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
			return nil
		}
	}
}

// Private

// Whatever locks several sales does so in the order of their ids, as orders do.

// broadcast tells open pages, except from a command, which has no tasks.
func (s *Shop) broadcast(ctx context.Context, task jobs.Args) {
	if s.tasks != nil {
		s.tasks.Enqueue(ctx, task)
	}
}
