package jobs

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Jobs enqueues jobs.
type Jobs struct {
	client  *river.Client[pgx.Tx]
	metrics *Metrics
}

// NewJobs makes an enqueuer over pool. It works nothing by itself.
func NewJobs(pool *pgxpool.Pool, metrics *Metrics) (*Jobs, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return &Jobs{client: client, metrics: metrics}, nil
}

// Enqueue inserts a job in the transaction of the change that causes it: both
// commit, or neither does.
func (j *Jobs) Enqueue(ctx context.Context, tx pgx.Tx, args river.JobArgs) error {
	if _, err := j.client.InsertTx(ctx, tx, args, nil); err != nil {
		return fmt.Errorf("enqueue %s: %w", args.Kind(), err)
	}
	j.metrics.enqueued.WithLabelValues(string(PG), args.Kind(), "ok").Inc()
	return nil
}
