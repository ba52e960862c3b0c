package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
)

const (
	idleTime = 8 * time.Second // during which an idle worker's CPU time is measured
	samples  = 60              // single jobs for each worker
)

// idleWorker is the worker of a contestant with its measurements.
type idleWorker struct {
	contestant
	worker  *worker
	cpu     float64 // share of a core while idle
	waits   series  // milliseconds from enqueue to start
	enqueue func(context.Context) error
}

// pickUp measures the CPU time of idle workers, and how long a single job waits for
// an idle worker.
func (b *bench) pickUp(ctx context.Context) error {
	if err := b.empty(ctx); err != nil {
		return err
	}
	workers, err := b.launchIdle(ctx)
	for _, one := range workers {
		defer one.worker.kill()
	}
	if err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil { // the workers start
		return err
	}
	for _, one := range workers {
		if err := one.measureIdle(ctx); err != nil {
			return err
		}
	}
	for range samples {
		for _, one := range workers {
			if err := one.enqueue(ctx); err != nil {
				return err
			}
			if err := pause(ctx, time.Duration(20+rand.IntN(30))*time.Millisecond); err != nil {
				return err
			}
		}
	}
	b.section(fmt.Sprintf("Pick-up of single jobs, %d samples", samples), "p50 ms", "p95 ms", "max ms", "idle CPU %")
	for _, one := range workers {
		r, err := one.worker.requestReport()
		if err != nil {
			return err
		}
		one.waits = r.Latencies
		b.row(one.title, one.waits.median(), one.waits.quantile(0.95), one.waits.quantile(1), one.cpu*100)
		b.target(one.waits.median() <= 5 && one.cpu <= 0.05, "an idle %s starts a job after %.1f ms (5) for %.1f %% of a core (5)",
			one.title, one.waits.median(), one.cpu*100)
	}
	return nil
}

// Private

// launchIdle starts the runtime's workers. With an error, it returns those that it
// has started.
func (b *bench) launchIdle(ctx context.Context) ([]*idleWorker, error) {
	enqueue, err := b.singles()
	if err != nil {
		return nil, err
	}
	var workers []*idleWorker
	for _, name := range []string{"ours-pg", "ours-redis"} {
		one, err := find(name)
		if err != nil {
			return workers, err
		}
		worker, err := launch(ctx, name, 0)
		if err != nil {
			return workers, err
		}
		workers = append(workers, &idleWorker{contestant: one, worker: worker, enqueue: enqueue[one.backend]})
	}
	return workers, nil
}

func (w *idleWorker) measureIdle(ctx context.Context) error {
	before, err := w.worker.requestReport()
	if err != nil {
		return err
	}
	if err := pause(ctx, idleTime); err != nil {
		return err
	}
	after, err := w.worker.requestReport()
	if err != nil {
		return err
	}
	w.cpu = (after.CPU - before.CPU) / (after.Seconds - before.Seconds)
	return nil
}

// singles returns functions that enqueue one job, by backend.
func (b *bench) singles() (map[jobs.Backend]func(context.Context) error, error) {
	queue, tasks, err := b.producers()
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
