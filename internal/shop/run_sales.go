package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// How often the steps of RunSales come.
const (
	showSalesEvery      = 200 * time.Millisecond
	reconcileSalesEvery = time.Second
)

// salesLock is the advisory lock of the process that shows the sales.
const salesLock int64 = 0x6c6565776172645f // "leeward_"

// RunSales does until ctx ends what is too quick for the clock of
// config/recurring.yml: it keeps Redis true about flash sales and open pages up
// to date. Any number of processes may run it: at each moment one works. While
// none does nothing is sold twice, and open pages stand still. TendSales does
// the rest.
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
		// What fails is left alone for a while: it fails again.
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
			s.log.WarnContext(ctx, "Flash sales are not shown", "error", err)
		}
		failing = err != nil
	}
}

// ReconcileSales tells Redis how many units the open sales really have left:
// what it counted for claims that came to nothing comes back.
func (s *Shop) ReconcileSales(ctx context.Context) error {
	sales, err := readSales(ctx, s.db, `WHERE s.closed_at IS NULL AND s.starts_at <= now()`)
	if err != nil {
		return fmt.Errorf("reconcile sales: %w", err)
	}
	for _, sale := range sales {
		s.tellUnits(ctx, sale)
	}
	return nil
}

// ShowSales tells open pages of the sales that have changed since they were
// told last: five hundred buyers in a second are a handful of broadcasts.
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

// inOneProcess runs steps unless another process does. The lock is that of a
// transaction, so it ends with its connection whatever happens.
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
