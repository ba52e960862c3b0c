package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
)

// MostCounted is the largest number to which the jobs of a queue in a state are
// counted. Counting a million of them would take seconds.
const MostCounted = 10_000

// Backlog measures how much work is in the queues of both backends, and checks how
// long it waits for a worker. Metrics show what it measured last.
type Backlog struct {
	patience time.Duration
	sources  []*backlogSource
	judged   []Backend
	tasks    *taskqueue.DepthReader // nil without tasks
	late     atomic.Bool            // see Late
}

// NewBacklog returns a check that fails when work of the judged backends waits for
// longer than patience. Call Jobs and Tasks to add the backends that it measures.
func NewBacklog(patience time.Duration, registry prometheus.Registerer, judged ...Backend) *Backlog {
	b := &Backlog{patience: patience, judged: judged}
	registry.MustRegister(backlogMetrics{b})
	return b
}

// Jobs adds the jobs in db. It measures the given queues, and all others that have
// jobs.
func (b *Backlog) Jobs(db *pgxpool.Pool, queues Queues) {
	read := func(ctx context.Context, measured backlogReading, all bool) (backlogReading, error) {
		err := postgres.ByIndex(ctx, db, func(tx pgx.Tx) error { return measured.measureJobs(ctx, tx, queues, all) })
		if err != nil {
			return measured, fmt.Errorf("jobs: %w", err)
		}
		return measured, nil
	}
	b.sources = append(b.sources, &backlogSource{backend: PG, noun: "jobs", read: read})
}

// Tasks adds the tasks of the queues in the Redis that guard protects, and those that
// failed for good in db.
func (b *Backlog) Tasks(db *pgxpool.Pool, guard *failopen.Guard, queues Queues) (err error) {
	if guard.Disabled() {
		return nil
	}
	if b.tasks, err = taskqueue.NewDepthReader(guard, taskQueues(queues)); err != nil {
		return err
	}
	failed := taskqueue.NewFailedTasks(db)
	read := func(ctx context.Context, measured backlogReading, all bool) (backlogReading, error) {
		queues, ok := b.tasks.Read(ctx, "Backlog.Check")
		if !ok {
			return measured, errors.New("tasks: Redis is unavailable, so their number is unknown")
		}
		if all {
			counting, cancel := context.WithTimeout(ctx, archiveTimeout)
			defer cancel()
			measured.archived, _ = failed.Count(counting, MostCounted) // without the database, the other numbers are still known
		}
		measured.measureTasks(queues)
		return measured, nil
	}
	b.sources = append(b.sources, &backlogSource{backend: Redis, noun: "tasks", read: read})
	return nil
}

// Close ends the connection to Redis.
func (b *Backlog) Close() error {
	if b.tasks == nil {
		return nil
	}
	return b.tasks.Close()
}

// Check measures all queues. It returns an error that names each queue whose oldest
// work has waited for too long, or the reason why a judged backend cannot be read.
func (b *Backlog) Check(ctx context.Context) error {
	problems, late := make([]error, len(b.sources)), make([]bool, len(b.sources))
	var all sync.WaitGroup
	for i, source := range b.sources { // side by side: a slow backend takes no time from the other one
		all.Go(func() { late[i], problems[i] = source.check(ctx, b.patience) })
	}
	all.Wait()
	var judged []error
	waits := false
	for i, source := range b.sources {
		if slices.Contains(b.judged, source.backend) {
			judged, waits = append(judged, problems[i]), waits || late[i]
		}
	}
	b.late.Store(waits)
	return errors.Join(judged...)
}

// Late reports whether the last check failed because work has waited for too long, and
// not only because a backend could not be read.
func (b *Backlog) Late() bool { return b.late.Load() }

// Depths returns what the last check measured, for the history. It leaves out a
// backend that could not be read.
func (b *Backlog) Depths() []history.Depth {
	var depths []history.Depth
	for _, source := range b.sources {
		if measured, fresh := source.latest(); fresh {
			depths = append(depths, measured.queues...)
		}
	}
	return depths
}

// Private

const (
	// freshFor is how long a measurement is shown when no other follows.
	freshFor = 30 * time.Second
	// allEvery is how often every state is counted. Each costs up to MostCounted rows
	// of an index for each queue.
	allEvery = 50 * time.Second
	// archiveTimeout bounds how long the numbers of Redis wait for those of the
	// database.
	archiveTimeout = 500 * time.Millisecond
)

// backlogSource is one backend whose queues are measured.
type backlogSource struct {
	backend Backend
	noun    string // jobs or tasks
	// read measures anew what is in a measurement. It counts everything when all is
	// true, and otherwise only what is due and what runs.
	read func(ctx context.Context, last backlogReading, all bool) (backlogReading, error)

	mutex sync.Mutex
	last  backlogReading
	err   error // of the last try
}

// backlogReading is the queues of one backend at a time.
type backlogReading struct {
	at       time.Time
	allAt    time.Time // when everything was counted
	queues   []history.Depth
	archived map[string]taskqueue.FailedCount // only of Redis; nil: unknown
	outbox   int                              // durable tasks that are not known to be on Redis's disk; only of PG
	workers  []workerNumber                   // only of PG
}

type workerNumber struct {
	Backend string
	State   string
	Number  int
}

// check measures the queues, and returns an error for those that wait for too long.
func (s *backlogSource) check(ctx context.Context, patience time.Duration) (late bool, err error) {
	s.mutex.Lock()
	last := s.last
	all := s.err != nil || time.Since(last.allAt) > allEvery
	s.mutex.Unlock()
	measured, err := s.read(ctx, last, all)
	if measured.at = time.Now(); all {
		measured.allAt = measured.at
	}
	s.mutex.Lock()
	if s.err = err; err == nil {
		s.last = measured
	}
	s.mutex.Unlock()
	if err != nil {
		return false, err
	}
	var problems []error
	for _, queue := range measured.queues {
		if queue.Oldest <= patience {
			continue
		}
		more := ""
		if s.backend == PG && queue.Counts[history.Pending] == MostCounted {
			more = "+"
		}
		problems = append(problems, fmt.Errorf("%d%s %s wait in queue %s, the oldest for %s",
			queue.Counts[history.Pending], more, s.noun, queue.Queue, queue.Oldest.Round(time.Second)))
	}
	return len(problems) > 0, errors.Join(problems...)
}

// latest returns the last measurement. It is not fresh when the backend cannot be
// read now.
func (s *backlogSource) latest() (last backlogReading, fresh bool) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.last, s.err == nil && time.Since(s.last.at) < freshFor
}

// measureJobs counts the jobs of each queue, and the workers of both backends.
func (r *backlogReading) measureJobs(ctx context.Context, tx pgx.Tx, queues Queues, all bool) (err error) {
	if r.queues, err = countJobs(ctx, tx, queues, r.queues, all); err != nil {
		return fmt.Errorf("count the jobs in queues: %w", err)
	}
	if all {
		if err := r.countOutbox(ctx, tx); err != nil {
			return err
		}
	}
	rows, err := tx.Query(ctx, `
		SELECT backend, CASE WHEN beat_at < now() - $1::interval THEN 'dead' ELSE state END, count(*)
		FROM job_processes
		GROUP BY 1, 2`, deadAfter)
	if err != nil {
		return fmt.Errorf("count the workers: %w", err)
	}
	if r.workers, err = pgx.CollectRows(rows, pgx.RowToStructByPos[workerNumber]); err != nil {
		return fmt.Errorf("count the workers: %w", err)
	}
	return nil
}

func (r *backlogReading) countOutbox(ctx context.Context, tx pgx.Tx) error {
	err := tx.QueryRow(ctx, `
		SELECT coalesce(sum(waiting.count), 0)
		FROM unnest(ARRAY['available', 'retryable', 'running', 'scheduled']::river_job_state[]) AS states (state), LATERAL (
			SELECT count(*) FROM (
				SELECT FROM river_job AS j WHERE j.state = states.state AND j.queue = $1 AND j.kind = $2 LIMIT $3
			) AS counted
		) AS waiting`, string(Default), OutboxKind, MostCounted).Scan(&r.outbox)
	if err != nil {
		return fmt.Errorf("count the outbox: %w", err)
	}
	return nil
}

// countJobs counts the jobs of each queue: in each state but completed, or only those
// that are due or run, with the other numbers of the last measurement.
func countJobs(ctx context.Context, tx pgx.Tx, known Queues, last []history.Depth, all bool) ([]history.Depth, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE groups AS (
			(SELECT state, queue FROM river_job ORDER BY state, queue LIMIT 1)
			UNION ALL
			SELECT next.*
			FROM groups, LATERAL (
				SELECT j.state, j.queue
				FROM river_job AS j
				WHERE (j.state, j.queue) > (groups.state, groups.queue)
				ORDER BY j.state, j.queue
				LIMIT 1
			) AS next
		)
		SELECT groups.state::text, groups.queue, counts.count, coalesce(greatest(now() - oldest.scheduled_at, interval '0'), interval '0')
		FROM groups, LATERAL (
			SELECT count(*) FROM (
				SELECT FROM river_job AS j WHERE j.state = groups.state AND j.queue = groups.queue LIMIT $1
			) AS counted
		) AS counts, LATERAL (
			SELECT min(first.scheduled_at) AS scheduled_at
			FROM generate_series(1, 4) AS level, LATERAL (
				SELECT j.scheduled_at FROM river_job AS j
				WHERE groups.state = 'available' AND j.state = 'available' AND j.queue = groups.queue AND j.priority = level
				ORDER BY j.scheduled_at
				LIMIT 1
			) AS first
		) AS oldest
		WHERE groups.state = 'available' OR groups.state = 'running' OR $2 AND groups.state <> 'completed'`, MostCounted, all)
	if err != nil {
		return nil, err
	}
	var queues []history.Depth
	find := func(name string) *history.Depth {
		for i := range queues {
			if queues[i].Queue == name {
				return &queues[i]
			}
		}
		none := history.Depth{Backend: string(PG), Queue: name, Counts: map[string]int{}}
		for _, state := range history.States {
			none.Counts[state] = 0
		}
		queues = append(queues, none)
		return &queues[len(queues)-1]
	}
	for _, queue := range known {
		find(string(queue))
	}
	for _, before := range last {
		if all {
			break
		}
		counts := find(before.Queue).Counts
		for _, state := range []string{history.Scheduled, history.Retrying, history.Failed, history.Cancelled} {
			counts[state] = before.Counts[state]
		}
	}
	var state, queue string
	var count int
	var oldest time.Duration
	_, err = pgx.ForEachRow(rows, []any{&state, &queue, &count, &oldest}, func() error {
		depth := find(queue)
		if name := stateOfRiver[state]; name != "" {
			depth.Counts[name] = min(depth.Counts[name]+count, MostCounted)
		}
		depth.Oldest = max(depth.Oldest, oldest)
		return nil
	})
	return queues, err
}

// stateOfRiver names River's states as the history does.
var stateOfRiver = map[string]string{
	"available": history.Pending, "pending": history.Scheduled, "scheduled": history.Scheduled, "running": history.Running,
	"retryable": history.Retrying, "discarded": history.Failed, "cancelled": history.Cancelled,
}

// measureTasks joins what Redis and the archive hold. Without the archive, the failed
// and cancelled tasks are not known.
func (r *backlogReading) measureTasks(queues []taskqueue.Depth) {
	r.queues = nil
	for _, queue := range queues {
		depth := history.Depth{Backend: string(Redis), Queue: queue.Queue, Oldest: queue.Oldest, Counts: map[string]int{
			history.Pending: queue.Waiting, history.Scheduled: queue.Scheduled, history.Running: queue.Running,
			history.Retrying: queue.Retrying,
		}}
		if r.archived != nil {
			depth.Counts[history.Failed] = min(r.archived[queue.Queue].Failed, MostCounted)
			depth.Counts[history.Cancelled] = min(r.archived[queue.Queue].Cancelled, MostCounted)
		}
		r.queues = append(r.queues, depth)
	}
}
