package inspect

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"slipway/internal/jobs"
)

// Queue is one queue of one backend.
type Queue struct {
	Backend jobs.Backend  `json:"backend"`
	Name    string        `json:"name"`
	Paused  bool          `json:"paused"`
	Counts  map[State]int `json:"counts"` // of what is not done
	Oldest  time.Duration `json:"oldest"` // how long the oldest one has been due, in nanoseconds
}

// Queues returns all queues of both backends. Where Redis does not answer, the
// queues of jobs come with an error that says so.
func (i *Inspector) Queues(ctx context.Context) ([]Queue, error) {
	ofJobs, err := i.jobQueues(ctx)
	if err != nil {
		return nil, err
	}
	ofTasks, err := i.taskQueues(ctx)
	return append(ofJobs, ofTasks...), err
}

// Pause keeps the workers of a backend from taking work of a queue; what runs
// is finished. It holds until Resume.
func (i *Inspector) Pause(ctx context.Context, backend jobs.Backend, queue string) error {
	return i.setPaused(ctx, backend, queue, true)
}

// Resume ends a pause.
func (i *Inspector) Resume(ctx context.Context, backend jobs.Backend, queue string) error {
	return i.setPaused(ctx, backend, queue, false)
}

// Workers are the processes that work, as they last said.
func (i *Inspector) Workers(ctx context.Context) ([]jobs.Process, error) {
	rows, err := i.db.Query(ctx, `
		SELECT id, backend, host, pid, version, queues, concurrency, state, in_hand, started_at, beat_at
		FROM job_processes
		ORDER BY backend, started_at`)
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	workers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[jobs.Process])
	if err != nil {
		return nil, fmt.Errorf("list workers: %w", err)
	}
	return workers, nil
}

// Recurring is one entry of config/recurring.yml, as the workers see it.
type Recurring struct {
	Key      string       `json:"key"`
	Kind     string       `json:"kind"`
	Backend  jobs.Backend `json:"backend"`
	Schedule string       `json:"schedule"`
	Enabled  bool         `json:"enabled"`
	Last     *time.Time   `json:"last_run_at"`
	Next     *time.Time   `json:"next_run_at"`
	Runs     int          `json:"runs"` // that are remembered
	Skipped  int          `json:"skipped"`
}

// Recurring returns the recurring work.
func (i *Inspector) Recurring(ctx context.Context) ([]Recurring, error) {
	rows, err := i.db.Query(ctx, `
		SELECT t.key, t.kind, t.backend, t.schedule, t.enabled, max(r.run_at), t.next_run_at,
		       count(r.run_at), count(r.run_at) FILTER (WHERE r.skipped)
		FROM recurring_tasks t
		LEFT JOIN recurring_runs r ON r.task_key = t.key
		WHERE t.updated_at > now() - interval '5 minutes' OR NOT EXISTS (SELECT FROM recurring_tasks WHERE updated_at > now() - interval '5 minutes')
		GROUP BY t.key
		ORDER BY t.key`)
	if err != nil {
		return nil, fmt.Errorf("list recurring work: %w", err)
	}
	recurring, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Recurring])
	if err != nil {
		return nil, fmt.Errorf("list recurring work: %w", err)
	}
	return recurring, nil
}

// Private

func (i *Inspector) jobQueues(ctx context.Context) ([]Queue, error) {
	rows, err := i.db.Query(ctx, `
		SELECT names.name, coalesce(q.paused_at IS NOT NULL, false),
		       count(j.id) FILTER (WHERE j.state = 'available'), count(j.id) FILTER (WHERE j.state IN ('scheduled', 'pending')),
		       count(j.id) FILTER (WHERE j.state = 'running'), count(j.id) FILTER (WHERE j.state = 'retryable'),
		       count(j.id) FILTER (WHERE j.state = 'discarded'), count(j.id) FILTER (WHERE j.state = 'cancelled'),
		       coalesce(extract(epoch FROM now() - min(j.scheduled_at) FILTER (WHERE j.state = 'available')), 0)::float8
		FROM unnest($1::text[]) WITH ORDINALITY AS names (name, position)
		LEFT JOIN river_queue q ON q.name = names.name
		LEFT JOIN river_job j ON j.queue = names.name AND j.state IN ('available', 'scheduled', 'pending', 'running', 'retryable', 'discarded', 'cancelled')
		GROUP BY names.name, names.position, q.paused_at
		ORDER BY names.position`, jobs.Queues)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	queues, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Queue, error) {
		queue := Queue{Backend: jobs.PG, Counts: map[State]int{}}
		var pending, scheduled, running, retrying, failed, cancelled int
		var oldest float64
		err := row.Scan(&queue.Name, &queue.Paused, &pending, &scheduled, &running, &retrying, &failed, &cancelled, &oldest)
		queue.Counts = map[State]int{Pending: pending, Scheduled: scheduled, Running: running, Retrying: retrying, Failed: failed, Cancelled: cancelled}
		queue.Oldest = max(0, time.Duration(oldest*float64(time.Second)))
		return queue, err
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return queues, nil
}

func (i *Inspector) taskQueues(ctx context.Context) ([]Queue, error) {
	if i.asynq == nil {
		return nil, nil
	}
	failed, cancelled, err := i.countFailedTasks(ctx)
	if err != nil {
		return nil, err
	}
	known, err := i.asynq.Queues()
	if err != nil {
		return nil, fmt.Errorf("list the queues of tasks: %w", err)
	}
	var queues []Queue
	for _, name := range jobs.Queues {
		info := &asynq.QueueInfo{}
		if slices.Contains(known, string(name)) { // one that was never used is not
			if info, err = i.asynq.GetQueueInfo(string(name)); err != nil {
				return queues, fmt.Errorf("count tasks: %w", err)
			}
		}
		queues = append(queues, Queue{
			Backend: jobs.Redis, Name: string(name), Paused: info.Paused, Oldest: info.Latency,
			Counts: map[State]int{Pending: info.Pending, Scheduled: info.Scheduled, Running: info.Active, Retrying: info.Retry, Failed: failed[string(name)], Cancelled: cancelled[string(name)]},
		})
	}
	return queues, nil
}

// countFailedTasks counts by queue, as they are listed.
func (i *Inspector) countFailedTasks(ctx context.Context) (failed, cancelled map[string]int, err error) {
	rows, err := i.db.Query(ctx, `
		SELECT queue, count(*) FILTER (WHERE NOT cancelled), count(*) FILTER (WHERE cancelled)
		FROM failed_tasks
		GROUP BY queue`)
	if err != nil {
		return nil, nil, fmt.Errorf("count failed tasks: %w", err)
	}
	failed, cancelled = map[string]int{}, map[string]int{}
	var queue string
	var ofFailed, ofCancelled int
	_, err = pgx.ForEachRow(rows, []any{&queue, &ofFailed, &ofCancelled}, func() error {
		failed[queue], cancelled[queue] = ofFailed, ofCancelled
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("count failed tasks: %w", err)
	}
	return failed, cancelled, nil
}

func (i *Inspector) setPaused(ctx context.Context, backend jobs.Backend, queue string, paused bool) error {
	if !slices.Contains(jobs.Queues, jobs.Queue(queue)) {
		return fmt.Errorf("there is no queue %q: it is one of critical, default, low", queue)
	}
	var err error
	switch {
	case backend == jobs.PG:
		err = i.pauseJobs(ctx, queue, paused)
	case i.asynq == nil:
		return ErrNoRedis
	case paused:
		err = i.asynq.PauseQueue(queue)
	default:
		err = i.asynq.UnpauseQueue(queue)
	}
	// It is no error that a queue is already as it should be; asynq has only words
	// for that.
	if err != nil && (strings.HasSuffix(err.Error(), "is already paused") || strings.HasSuffix(err.Error(), "is not paused")) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("pause or resume %s of %s: %w", queue, backend, err)
	}
	return nil
}

// pauseJobs pauses a queue of River, also one that no worker has made known
// yet.
func (i *Inspector) pauseJobs(ctx context.Context, queue string, paused bool) error {
	if _, err := i.db.Exec(ctx, `INSERT INTO river_queue (name, updated_at) VALUES ($1, now()) ON CONFLICT DO NOTHING`, queue); err != nil {
		return err
	}
	if paused {
		return i.river.QueuePause(ctx, queue, &river.QueuePauseOpts{})
	}
	return i.river.QueueResume(ctx, queue, &river.QueuePauseOpts{})
}
