package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
)

// MostCounted is the largest number to which the jobs of a queue in a state are
// counted. Counting a million of them would take seconds.
const MostCounted = 10_000

// Backlog checks how much work waits for a worker, and for how long.
type Backlog struct {
	patience time.Duration
	db       *pgxpool.Pool          // nil without jobs
	tasks    *taskqueue.DepthReader // nil without tasks
	depth    *prometheus.GaugeVec
	oldest   *prometheus.GaugeVec
}

// NewBacklog returns a check that fails when work waits for longer than patience.
// Call Jobs and Tasks to add the backends that it checks.
func NewBacklog(patience time.Duration, registry prometheus.Registerer) *Backlog {
	b := &Backlog{
		patience: patience,
		depth: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "app_queue_depth",
			Help: "Jobs and tasks that are due and wait for a worker. Jobs are counted up to 10000 a queue. " +
				"Every process reports the same numbers.",
		}, []string{"backend", "queue"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "app_queue_oldest_seconds",
			Help: "How long the oldest due job or task of the queue has waited for a worker.",
		}, []string{"backend", "queue"}),
	}
	registry.MustRegister(b.depth, b.oldest)
	return b
}

// Jobs adds the jobs in db.
func (b *Backlog) Jobs(db *pgxpool.Pool) { b.db = db }

// Tasks adds the tasks of the queues in the Redis that guard protects.
func (b *Backlog) Tasks(guard *failopen.Guard, queues Queues) error {
	if guard.Disabled() {
		return nil
	}
	var err error
	b.tasks, err = taskqueue.NewDepthReader(guard, taskQueues(queues))
	return err
}

// Close ends the connection to Redis.
func (b *Backlog) Close() error {
	if b.tasks == nil {
		return nil
	}
	return b.tasks.Close()
}

// Check returns an error that names each queue whose oldest work has waited for
// too long, or the reason why a backend cannot be read.
func (b *Backlog) Check(ctx context.Context) error {
	b.depth.Reset() // an unknown depth is not exported
	b.oldest.Reset()
	return errors.Join(b.checkJobs(ctx), b.checkTasks(ctx))
}

// Private

func (b *Backlog) checkJobs(ctx context.Context) error {
	if b.db == nil {
		return nil
	}
	var queues []taskqueue.Depth
	err := postgres.ByIndex(ctx, b.db, func(tx pgx.Tx) (err error) {
		queues, err = countWaiting(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("jobs: %w", err)
	}
	return b.judge(PG, "jobs", queues)
}

// countWaiting counts the jobs that are due in each queue that has any.
func countWaiting(ctx context.Context, tx pgx.Tx) ([]taskqueue.Depth, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE queues AS (
			(SELECT queue FROM river_job WHERE state = 'available' ORDER BY queue LIMIT 1)
			UNION ALL
			SELECT next.queue
			FROM queues, LATERAL (
				SELECT j.queue FROM river_job AS j WHERE j.state = 'available' AND j.queue > queues.queue ORDER BY j.queue LIMIT 1
			) AS next
		)
		SELECT queue, waiting.count, greatest(now() - oldest.scheduled_at, interval '0')
		FROM queues, LATERAL (
			SELECT count(*) FROM (SELECT FROM river_job AS j WHERE j.state = 'available' AND j.queue = queues.queue LIMIT $1) AS counted
		) AS waiting, LATERAL (
			SELECT min(first.scheduled_at) AS scheduled_at
			FROM generate_series(1, 4) AS level, LATERAL (
				SELECT j.scheduled_at FROM river_job AS j
				WHERE j.state = 'available' AND j.queue = queues.queue AND j.priority = level
				ORDER BY j.scheduled_at
				LIMIT 1
			) AS first
		) AS oldest`, MostCounted+1)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (taskqueue.Depth, error) {
		var found taskqueue.Depth
		err := row.Scan(&found.Queue, &found.Waiting, &found.Oldest)
		if found.Waiting > MostCounted {
			found.Waiting, found.More = MostCounted, true
		}
		return found, err
	})
}

func (b *Backlog) checkTasks(ctx context.Context) error {
	if b.tasks == nil {
		return nil
	}
	queues, ok := b.tasks.Read(ctx, "Backlog.Check")
	if !ok {
		return errors.New("tasks: Redis is unavailable, so their number is unknown")
	}
	return b.judge(Redis, "tasks", queues)
}

// judge exports the depth of each queue, and returns an error for those that wait
// for too long.
func (b *Backlog) judge(backend Backend, noun string, queues []taskqueue.Depth) error {
	var problems []error
	for _, found := range queues {
		b.depth.WithLabelValues(string(backend), found.Queue).Set(float64(found.Waiting))
		b.oldest.WithLabelValues(string(backend), found.Queue).Set(found.Oldest.Seconds())
		if found.Oldest > b.patience {
			oldest, more := found.Oldest.Round(time.Second), ""
			if found.More {
				more = "+"
			}
			problems = append(problems, fmt.Errorf("%d%s %s wait in queue %s, the oldest for %s", found.Waiting, more, noun, found.Queue, oldest))
		}
	}
	return errors.Join(problems...)
}
