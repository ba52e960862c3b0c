package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

// enqueuer is one method to enqueue.
type enqueuer struct {
	title   string
	many    int // jobs in one round
	beside  int // index of the enqueuer to compare with
	enqueue func(ctx context.Context, many int) error

	rate, cpu series
}

// batch is the number of jobs that a bulk method enqueues at once.
const batch = 1000

var errDropped = errors.New("redis did not accept all tasks")

// enqueue measures how fast one process enqueues: one by one, jobs each in a
// transaction of its own, and in bulk.
func (b *bench) enqueue(ctx context.Context) error {
	enqueuers, err := b.enqueuers()
	if err != nil {
		return err
	}
	for round := range b.options.rounds {
		order := slices.Clone(enqueuers)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, one := range order {
			if err := b.empty(ctx); err != nil {
				return err
			}
			started, cpu := time.Now(), cpuSeconds()
			if err := one.enqueue(ctx, one.many); err != nil {
				return fmt.Errorf("enqueue, %s: %w", one.title, err)
			}
			one.rate = append(one.rate, float64(one.many)/time.Since(started).Seconds())
			one.cpu = append(one.cpu, (cpuSeconds()-cpu)/float64(one.many)*1e6)
		}
	}
	b.section(fmt.Sprintf("Enqueueing, medians of %d rounds", b.options.rounds),
		"jobs/s", "min", "max", "CPU us/job", "ours/this", "in CPU")
	for _, one := range enqueuers {
		ours := enqueuers[one.beside]
		b.row(one.title, one.rate.median(), slices.Min(one.rate), slices.Max(one.rate), one.cpu.median(),
			ours.rate.over(one.rate).median(), ours.cpu.over(one.cpu).median())
	}
	return nil
}

// Private

func (b *bench) enqueuers() ([]*enqueuer, error) {
	queue, tasks, err := b.producers()
	if err != nil {
		return nil, err
	}
	client, err := river.NewClient(riverpgxv5.New(b.db), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return append(b.jobEnqueuers(queue, client), b.taskEnqueuers(tasks)...), nil
}

// producers returns what a role uses to enqueue jobs and tasks.
func (b *bench) producers() (*jobs.Jobs, *jobs.Tasks, error) {
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	queue, err := jobs.NewJobs(b.db, metrics)
	if err != nil {
		return nil, nil, err
	}
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	tasks, err := jobs.NewTasks(failopen.NewGuard(guardOptions(b.settings.redis), reporter), queue, metrics)
	return queue, tasks, err
}

// jobEnqueuers are the enqueuers with index 0 to 4.
func (b *bench) jobEnqueuers(queue *jobs.Jobs, client *river.Client[pgx.Tx]) []*enqueuer {
	return []*enqueuer{
		{title: "Jobs.Enqueue, one by one", many: 500, beside: 0, enqueue: func(ctx context.Context, many int) error {
			return b.inTransactions(ctx, many, func(tx pgx.Tx) error { return queue.Enqueue(ctx, tx, noop{}) })
		}},
		{title: "River's InsertTx", many: 500, beside: 0, enqueue: func(ctx context.Context, many int) error {
			return b.inTransactions(ctx, many, func(tx pgx.Tx) error {
				_, err := client.InsertTx(ctx, tx, noop{}, nil)
				return err
			})
		}},
		{title: "Jobs.Enqueue, 1000 at once", many: 10 * batch, beside: 2, enqueue: func(ctx context.Context, many int) error {
			return b.inTransactions(ctx, many/batch, func(tx pgx.Tx) error { return queue.Enqueue(ctx, tx, noops()...) })
		}},
		{title: "River's InsertManyTx, 1000 at once", many: 10 * batch, beside: 2, enqueue: func(ctx context.Context, many int) error {
			return b.inTransactions(ctx, many/batch, func(tx pgx.Tx) error {
				_, err := client.InsertManyTx(ctx, tx, riverNoops())
				return err
			})
		}},
		{title: "River's InsertManyFastTx, 1000 at once", many: 10 * batch, beside: 2, enqueue: func(ctx context.Context, many int) error {
			return b.inTransactions(ctx, many/batch, func(tx pgx.Tx) error {
				_, err := client.InsertManyFastTx(ctx, tx, riverNoops())
				return err
			})
		}},
	}
}

// taskEnqueuers are the enqueuers with index 5 to 9.
func (b *bench) taskEnqueuers(tasks *jobs.Tasks) []*enqueuer {
	return []*enqueuer{
		{title: "Tasks.Enqueue, one by one", many: 3000, beside: 5, enqueue: func(ctx context.Context, many int) error {
			for range many {
				if !tasks.Enqueue(ctx, noop{}) {
					return errDropped
				}
			}
			return nil
		}},
		{title: "asynq's Enqueue", many: 3000, beside: 5, enqueue: b.enqueueRaw},
		{title: "Tasks.Enqueue, 1000 at once", many: 10 * batch, beside: 7, enqueue: func(ctx context.Context, many int) error {
			for range many / batch {
				if !tasks.Enqueue(ctx, noops()...) {
					return errDropped
				}
			}
			return nil
		}},
		{title: "asynq's Enqueue, which has no bulk", many: 10 * batch, beside: 7, enqueue: b.enqueueRaw},
		{title: "asynq's Enqueue in 8 goroutines", many: 10 * batch, beside: 7, enqueue: b.fillRedis},
	}
}

// enqueueRaw enqueues through plain asynq, one task at a time.
func (b *bench) enqueueRaw(ctx context.Context, many int) error {
	client := asynq.NewClientFromRedisClient(b.redis)
	for range many {
		payload, err := json.Marshal(noop{})
		if err != nil {
			return err
		}
		if _, err := client.EnqueueContext(ctx, asynq.NewTask(noop{}.Kind(), payload), asynq.Timeout(time.Minute)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) inTransactions(ctx context.Context, many int, enqueue func(pgx.Tx) error) error {
	for range many {
		if err := pgx.BeginFunc(ctx, b.db, enqueue); err != nil {
			return err
		}
	}
	return nil
}

func noops() []jobs.Args {
	all := make([]jobs.Args, batch)
	for i := range all {
		all[i] = noop{}
	}
	return all
}

func riverNoops() []river.InsertManyParams {
	all := make([]river.InsertManyParams, batch)
	for i := range all {
		all[i] = river.InsertManyParams{Args: noop{}}
	}
	return all
}
