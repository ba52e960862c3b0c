package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The intervals of the steps of RunSales.
const (
	showSalesEvery      = 200 * time.Millisecond
	reconcileSalesEvery = time.Second
)

// salesLock is the advisory lock of the process that runs the steps.
const salesLock int64 = 0x6c6565776172645f // "leeward_"

// RunSales runs ShowSales and ReconcileSales until ctx ends. Their intervals are
// too short for config/recurring.yml. Any number of processes may run it: one
// works at a time. While no process runs it, open pages show old numbers, but no
// unit is sold twice.
func (s *Shop) RunSales(ctx context.Context) error {
	tick := time.NewTicker(showSalesEvery)
	defer tick.Stop()
	var reconciled time.Time
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now := time.Now()
		isDue := now.Sub(reconciled) >= reconcileSalesEvery
		// After a failure, wait for the longer interval.
		if failing && !isDue {
			continue
		}
		steps := []func(context.Context) error{s.ShowSales}
		if isDue {
			reconciled = now
			steps = append(steps, s.ReconcileSales)
		}
		err := s.inOneProcess(ctx, steps...)
		if err != nil && !failing && ctx.Err() == nil {
			s.log.WarnContext(ctx, "Flash sales could not be updated", "error", err)
		}
		failing = err != nil
	}
}

// ReconcileSales copies the number of units left of each open sale to Redis. This
// corrects the claims that Redis counted but PostgreSQL refused.
func (s *Shop) ReconcileSales(ctx context.Context) error {
	sales, err := readSales(ctx, s.db, `WHERE s.closed_at IS NULL AND s.starts_at <= now()`)
	if err != nil {
		return fmt.Errorf("reconcile sales: %w", err)
	}
	for _, sale := range sales {
		s.storeUnits(ctx, sale)
	}
	return nil
}

// ShowSales enqueues one broadcast for each sale that has changed since its last
// one: five hundred buyers in a second cause five broadcasts.
func (s *Shop) ShowSales(ctx context.Context) error {
	rows, err := s.db.Query(ctx, `
		UPDATE flash_sales
		SET shown_version = version
		WHERE id IN (
			SELECT id FROM flash_sales
			WHERE shown_version < version
			ORDER BY id
			FOR NO KEY UPDATE
		)
		RETURNING id`)
	if err != nil {
		return fmt.Errorf("find changed sales: %w", err)
	}
	changed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("find changed sales: %w", err)
	}
	for _, id := range changed {
		s.enqueueBroadcast(ctx, BroadcastSale{SaleID: id})
	}
	return nil
}

// Private

// inOneProcess runs steps unless another process runs them now. It takes the lock
// in a transaction, so that the lock ends with the connection.
func (s *Shop) inOneProcess(ctx context.Context, steps ...func(context.Context) error) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var locked bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock($1)`, salesLock).Scan(&locked); err != nil {
			return fmt.Errorf("lock sales: %w", err)
		}
		if !locked {
			return nil
		}
		var problems []error
		for _, step := range steps {
			problems = append(problems, step(ctx))
		}
		return errors.Join(problems...)
	})
}
