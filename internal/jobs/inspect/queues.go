package inspect

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
)

// Queue is one queue of one backend.
type Queue struct {
	Backend jobs.Backend  `json:"backend"`
	Name    string        `json:"name"`
	Paused  bool          `json:"paused"`
	Counts  map[State]int `json:"counts"`         // of all states but Done, each at most jobs.MostCounted
	More    []State       `json:"more,omitempty"` // the states in which there are more than that
	Oldest  time.Duration `json:"oldest"`         // how long the oldest pending one has been due, in nanoseconds
}

// CountedStates are the states of Queue.Counts, in order.
var CountedStates = []State{Pending, Scheduled, Running, Retrying, Failed, Cancelled}

// Queues returns all queues of both backends. When Redis does not reply, it
// returns the queues of jobs and an error.
func (i *Inspector) Queues(ctx context.Context) ([]Queue, error) {
	ofJobs, err := i.jobQueues(ctx)
	if err != nil {
		return nil, err
	}
	ofTasks, err := i.taskQueues(ctx)
	return append(ofJobs, ofTasks...), err
}

// QueuesOf returns the queues of one backend.
func (i *Inspector) QueuesOf(ctx context.Context, backend jobs.Backend) ([]Queue, error) {
	if backend == jobs.PG {
		return i.jobQueues(ctx)
	}
	return i.taskQueues(ctx)
}

// Pause stops the workers of a backend from taking work of a queue until Resume.
// Running work finishes.
func (i *Inspector) Pause(ctx context.Context, backend jobs.Backend, queue string) error {
	return i.setPaused(ctx, backend, queue, true)
}

// Resume ends a pause.
func (i *Inspector) Resume(ctx context.Context, backend jobs.Backend, queue string) error {
	return i.setPaused(ctx, backend, queue, false)
}

// Workers returns the worker processes as of their last heartbeat.
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

// Private

// jobQueues counts with a bound for each queue and state.
func (i *Inspector) jobQueues(ctx context.Context) (queues []Queue, err error) {
	err = postgres.ByIndex(ctx, i.db, func(tx pgx.Tx) error {
		queues, err = i.countJobs(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return queues, nil
}

func (i *Inspector) countJobs(ctx context.Context, tx pgx.Tx) ([]Queue, error) {
	states := riverStatesOf(CountedStates)
	rows, err := tx.Query(ctx, `
		SELECT names.name, coalesce(q.paused_at IS NOT NULL, false), ARRAY(
		           SELECT (SELECT count(*) FROM (SELECT FROM river_job WHERE state = states.state AND queue = names.name LIMIT $3) AS counted)
		           FROM unnest($2::text[]::river_job_state[]) WITH ORDINALITY AS states (state, position)
		           ORDER BY states.position
		       ), coalesce(extract(epoch FROM now() - (
		           SELECT min(first.scheduled_at)
		           FROM generate_series(1, 4) AS level, LATERAL (
		               SELECT scheduled_at FROM river_job AS j
		               WHERE j.state = 'available' AND j.queue = names.name AND j.priority = level
		               ORDER BY scheduled_at
		               LIMIT 1
		           ) AS first
		       )), 0)::float8
		FROM unnest($1::text[]) WITH ORDINALITY AS names (name, position)
		LEFT JOIN river_queue q ON q.name = names.name
		ORDER BY names.position`, i.queues, states, jobs.MostCounted+1)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Queue, error) {
		queue := Queue{Backend: jobs.PG, Counts: map[State]int{}}
		var counts []int
		var oldest float64
		err := row.Scan(&queue.Name, &queue.Paused, &counts, &oldest)
		for n, count := range counts {
			state := stateOfJob(states[n])
			queue.Counts[state] += count
		}
		queue.bound()
		queue.Oldest = max(0, time.Duration(oldest*float64(time.Second)))
		return queue, err
	})
}

// bound cuts counts that are larger than the bound.
func (q *Queue) bound() {
	for _, state := range CountedStates {
		if q.Counts[state] > jobs.MostCounted {
			q.Counts[state] = jobs.MostCounted
			q.More = append(q.More, state)
		}
	}
}

func (i *Inspector) taskQueues(ctx context.Context) ([]Queue, error) {
	if i.tasks == nil {
		return nil, nil
	}
	// Without PostgreSQL, the tasks in Redis are counted, and those in the archive not.
	archived, uncounted := i.failed.Count(ctx, jobs.MostCounted)
	paused, unread := i.pausedTaskQueues(ctx)
	missing := errors.Join(uncounted, unread)
	known, err := i.tasks.QueueNames()
	if err != nil {
		return nil, fmt.Errorf("list the queues of tasks: %w", err)
	}
	var queues []Queue
	for _, name := range i.queues {
		var counts taskqueue.QueueCounts
		if slices.Contains(known, string(name)) { // a queue that was never used is unknown
			if counts, err = i.tasks.CountQueue(string(name)); err != nil {
				return queues, fmt.Errorf("count tasks: %w", err)
			}
		}
		queue := Queue{
			Backend: jobs.Redis, Name: string(name), Paused: counts.Paused || slices.Contains(paused, string(name)), Oldest: counts.Oldest,
			Counts: map[State]int{
				Pending: counts.Pending, Scheduled: counts.Scheduled, Running: counts.Active, Retrying: counts.Retry,
				Failed: archived[string(name)].Failed, Cancelled: archived[string(name)].Cancelled,
			},
		}
		queue.bound()
		queues = append(queues, queue)
	}
	return queues, missing
}

// pausedTaskQueues are the queues of tasks that operators paused. Redis knows only those
// that were used.
func (i *Inspector) pausedTaskQueues(ctx context.Context) ([]string, error) {
	rows, err := i.db.Query(ctx, `SELECT queue FROM paused_task_queues`)
	if err != nil {
		return nil, fmt.Errorf("list the paused queues of tasks: %w", err)
	}
	paused, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list the paused queues of tasks: %w", err)
	}
	return paused, nil
}

func (i *Inspector) setPaused(ctx context.Context, backend jobs.Backend, queue string, paused bool) error {
	if !slices.Contains(i.queues, jobs.Queue(queue)) {
		return fmt.Errorf("there is no queue %q: it is one of %s", queue, strings.Join(i.queues.Names(), ", "))
	}
	var err error
	switch {
	case backend == jobs.PG:
		err = i.pauseJobs(ctx, queue, paused)
	case i.tasks == nil:
		return ErrNoRedis
	case paused:
		err = i.tasks.Pause(ctx, queue)
	default:
		err = i.tasks.Resume(ctx, queue)
	}
	if err != nil {
		return fmt.Errorf("pause or resume %s of %s: %w", queue, backend, err)
	}
	return nil
}

// pauseJobs pauses or resumes a queue of River. River does not know a queue before
// a worker has run, so pauseJobs inserts it.
func (i *Inspector) pauseJobs(ctx context.Context, queue string, paused bool) error {
	if _, err := i.db.Exec(ctx, `INSERT INTO river_queue (name, updated_at) VALUES ($1, now()) ON CONFLICT DO NOTHING`, queue); err != nil {
		return err
	}
	if paused {
		return i.river.QueuePause(ctx, queue, &river.QueuePauseOpts{})
	}
	return i.river.QueueResume(ctx, queue, &river.QueuePauseOpts{})
}
