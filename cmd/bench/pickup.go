package main

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

// How long workers are idle, and how often one is then given something to do.
const (
	idleTime = 8 * time.Second
	samples  = 60
)

// pickUp measures what idle workers cost, and how long a single job waits for
// one. All are idle at the same time; then they take turns.
func (b *bench) pickUp(ctx context.Context) error {
	if err := b.empty(ctx); err != nil {
		return err
	}
	type idle struct {
		contestant
		worker  *worker
		cpu     float64 // share of a core
		waits   series
		enqueue func(context.Context) error
	}
	enqueue, err := b.singles()
	if err != nil {
		return err
	}
	var all []*idle
	for _, name := range []string{"ours-pg", "ours-redis"} {
		one, err := find(name)
		if err != nil {
			return err
		}
		worker, err := launch(ctx, name, 0)
		if err != nil {
			return err
		}
		defer worker.end()
		all = append(all, &idle{contestant: one, worker: worker, enqueue: enqueue[one.backend]})
	}
	if err := pause(ctx, time.Second); err != nil { // they start
		return err
	}
	for _, one := range all {
		before, err := one.worker.ask()
		if err != nil {
			return err
		}
		if err := pause(ctx, idleTime); err != nil {
			return err
		}
		after, err := one.worker.ask()
		if err != nil {
			return err
		}
		one.cpu = (after.CPU - before.CPU) / (after.Seconds - before.Seconds)
	}
	for range samples {
		for _, one := range all {
			if err := one.enqueue(ctx); err != nil {
				return err
			}
			if err := pause(ctx, time.Duration(20+rand.IntN(30))*time.Millisecond); err != nil {
				return err
			}
		}
	}
	b.section(fmt.Sprintf("Pick-up of single jobs, %d samples", samples), "p50 ms", "p95 ms", "max ms", "idle CPU %")
	for _, one := range all {
		r, err := one.worker.ask()
		if err != nil {
			return err
		}
		one.waits = r.Latencies
		b.row(one.title, one.waits.median(), one.waits.quantile(0.95), one.waits.quantile(1), one.cpu*100)
		b.target(one.waits.median() <= 5 && one.cpu <= 0.05, "an idle %s begins a job after %.1f ms (5) for %.1f %% of a core (5)", one.title, one.waits.median(), one.cpu*100)
	}
	return nil
}

// Private

// singles enqueue one job, by backend.
func (b *bench) singles() (map[jobs.Backend]func(context.Context) error, error) {
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	queue, err := jobs.NewJobs(b.db, metrics)
	if err != nil {
		return nil, err
	}
	guard := failopen.NewGuard(guardOptions(b.settings.redis), telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry()))
	tasks, err := jobs.NewTasks(guard, queue, metrics)
	if err != nil {
		return nil, err
	}
	return map[jobs.Backend]func(context.Context) error{
		jobs.PG: func(ctx context.Context) error {
			return pgx.BeginFunc(ctx, b.db, func(tx pgx.Tx) error { return queue.Enqueue(ctx, tx, noop{time.Now().UnixNano()}) })
		},
		jobs.Redis: func(ctx context.Context) error {
			if !tasks.Enqueue(ctx, noop{time.Now().UnixNano()}) {
				return errDropped
			}
			return nil
		},
	}, nil
}
