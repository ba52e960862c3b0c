package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
)

// Backlog looks at what waits for a worker in both queues.
type Backlog struct {
	patience time.Duration
	db       *pgxpool.Pool   // nil without jobs
	guard    *failopen.Guard // nil without tasks
	redis    *redis.Client
	depth    *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
}

// NewBacklog looks for work that has waited for longer than patience.
func NewBacklog(patience time.Duration, registry prometheus.Registerer) *Backlog {
	b := &Backlog{
		patience: patience,
		depth: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "app_queue_depth",
			Help: "Jobs and tasks that could be worked and wait for a worker. Every process tells the same.",
		}, []string{"backend", "queue"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "app_queue_oldest_seconds",
			Help: "How long the oldest of them has waited.",
		}, []string{"backend", "queue"}),
	}
	registry.MustRegister(b.depth, b.oldest)
	return b
}

// Jobs has it look at the jobs in db.
func (b *Backlog) Jobs(db *pgxpool.Pool) { b.db = db }

// Tasks has it look at the tasks in the Redis that guard watches.
func (b *Backlog) Tasks(guard *failopen.Guard) error {
	if guard.Disabled() {
		return nil
	}
	bounds := guard.Options()
	bounds.PoolSize, bounds.MinIdle = 1, 0
	options, err := failopen.QuickOptions(bounds)
	if err != nil {
		return err
	}
	b.guard, b.redis = guard, redis.NewClient(options)
	return nil
}

// Close ends the connection to Redis.
func (b *Backlog) Close() error {
	if b.redis == nil {
		return nil
	}
	if err := b.redis.Close(); err != nil {
		return fmt.Errorf("close the task queue: %w", err)
	}
	return nil
}

// Check tells which queue waits for too long, or that it cannot tell.
func (b *Backlog) Check(ctx context.Context) error {
	b.depth.Reset() // what cannot be told is not shown
	b.oldest.Reset()
	return errors.Join(b.checkJobs(ctx), b.checkTasks(ctx))
}

// Private

// waitingWork is what waits in one queue.
type waitingWork struct {
	queue string
	depth int
	wait  time.Duration // of the oldest
}

func (b *Backlog) checkJobs(ctx context.Context) error {
	if b.db == nil {
		return nil
	}
	rows, err := b.db.Query(ctx, `
		SELECT queue, count(*), greatest(now() - min(scheduled_at), interval '0')
		FROM river_job
		WHERE state = 'available'
		GROUP BY queue`)
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	queues, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (waitingWork, error) {
		var found waitingWork
		err := row.Scan(&found.queue, &found.depth, &found.wait)
		return found, err
	})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	return b.judge(PG, "jobs", queues)
}

func (b *Backlog) checkTasks(ctx context.Context) error {
	if b.guard == nil {
		return nil
	}
	var queues []waitingWork
	ok := b.guard.Do(ctx, "Backlog.Check", func(ctx context.Context) error {
		// An enqueuer writes the list of queues once. When that is lost and the tasks
		// come anew, nobody would see them. A full Redis refuses this, and no harm done.
		b.redis.SAdd(ctx, "asynq:queues", string(Critical), string(Default), string(Low))
		inspector := asynq.NewInspectorFromRedisClient(b.redis)
		names, err := inspector.Queues()
		if err != nil {
			return err
		}
		for _, name := range names {
			info, err := inspector.GetQueueInfo(name)
			if err != nil {
				return err
			}
			queues = append(queues, waitingWork{name, info.Pending, info.Latency})
		}
		return nil
	})
	if !ok {
		return errors.New("tasks: Redis is away, so nobody knows")
	}
	return b.judge(Redis, "tasks", queues)
}

func (b *Backlog) judge(backend Backend, noun string, queues []waitingWork) error {
	var problems []error
	for _, found := range queues {
		b.depth.WithLabelValues(string(backend), found.queue).Set(float64(found.depth))
		b.oldest.WithLabelValues(string(backend), found.queue).Set(found.wait.Seconds())
		if found.wait > b.patience {
			problems = append(problems, fmt.Errorf("%d %s wait in queue %s, the oldest for %s", found.depth, noun, found.queue, found.wait.Round(time.Second)))
		}
	}
	return errors.Join(problems...)
}
