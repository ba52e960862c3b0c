// Package jobs runs work in the background. Jobs are stored in PostgreSQL
// (River) and commit with the change that causes them. Tasks are stored in Redis
// (asynq); they are frequent, short and soon out of date.
package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/telemetry"
)

// Backend is where work is stored: PG for jobs, Redis for tasks.
type Backend = telemetry.Backend

// The two backends.
const (
	PG    = telemetry.PG
	Redis = telemetry.Redis
)

// Jobs enqueues jobs.
type Jobs struct {
	client  *river.Client[pgx.Tx]
	metrics *Metrics
}

// NewJobs returns an enqueuer that writes to pool. It runs no jobs.
func NewJobs(pool *pgxpool.Pool, metrics *Metrics) (*Jobs, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		// An enqueuer notifies the workers at most once in this time. A job that is
		// enqueued sooner waits for their next poll, up to a second later.
		FetchCooldown: river.FetchCooldownMin,
		Hooks:         []rivertype.Hook{dueByDatabase},
		Logger:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return &Jobs{client: client, metrics: metrics}, nil
}

// Enqueue inserts jobs in the transaction of the change that causes them, so
// that both commit or neither does. It leaves out a unique job when an equal one
// exists.
func (j *Jobs) Enqueue(ctx context.Context, tx pgx.Tx, jobs ...Args) error {
	return j.EnqueueAt(ctx, tx, time.Time{}, jobs...)
}

// EnqueueAt is Enqueue for jobs that run at a time or later. The zero time means
// now.
func (j *Jobs) EnqueueAt(ctx context.Context, tx pgx.Tx, at time.Time, jobs ...Args) error {
	var many []river.InsertManyParams
	for _, job := range jobs {
		insert := insertOf(job, at)
		if !insert.InsertOpts.UniqueOpts.ByArgs {
			many = append(many, insert)
			continue
		}
		// A statement of its own: one statement cannot insert two equal unique jobs.
		if err := j.insert(ctx, tx, insert); err != nil {
			return err
		}
	}
	if len(many) >= copiedFrom {
		return j.copy(ctx, tx, many)
	}
	return j.insert(ctx, tx, many...)
}

// Private

// copiedFrom is the number of jobs from which COPY is faster than INSERT.
const copiedFrom = 10

// copy inserts many jobs, none of them unique.
func (j *Jobs) copy(ctx context.Context, tx pgx.Tx, inserts []river.InsertManyParams) error {
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return fmt.Errorf("ask the database for the time: %w", err)
	}
	ctx = context.WithValue(ctx, dueAt{}, now)
	if _, err := j.client.InsertManyFastTx(ctx, tx, inserts); err != nil {
		return fmt.Errorf("enqueue %s: %w", kindsOf(inserts), err)
	}
	for _, insert := range inserts {
		j.metrics.enqueued.WithLabelValues(string(PG), insert.Args.Kind(), "ok").Inc()
	}
	return nil
}

// dueByDatabase sets the time of jobs that are due now by the clock of the
// database, because workers fetch by that clock. River uses the clock of this
// machine: if it is fast, workers are notified of a job before it is due.
var dueByDatabase = river.HookInsertBeginFunc(func(ctx context.Context, job *rivertype.JobInsertParams) error {
	if job.ScheduledAt == nil {
		at, _ := ctx.Value(dueAt{}).(time.Time) // River's INSERT turns zero into now(), its COPY does not
		job.ScheduledAt = &at
	}
	return nil
})

// dueAt is the context key of the database's time.
type dueAt struct{}

func (j *Jobs) insert(ctx context.Context, tx pgx.Tx, inserts ...river.InsertManyParams) error {
	if len(inserts) == 0 {
		return nil
	}
	results, err := j.client.InsertManyTx(ctx, tx, inserts)
	if err != nil {
		return fmt.Errorf("enqueue %s: %w", kindsOf(inserts), err)
	}
	for _, result := range results {
		outcome := "ok"
		if result.UniqueSkippedAsDuplicate {
			outcome = "duplicate"
		}
		j.metrics.enqueued.WithLabelValues(string(PG), result.Job.Kind, outcome).Inc()
	}
	return nil
}

// insertOf returns a job as River stores it.
func insertOf(job Args, at time.Time) river.InsertManyParams {
	declaration := job.Declare().withDefaults()
	options := &river.InsertOpts{Queue: string(declaration.Queue), MaxAttempts: declaration.Attempts, ScheduledAt: at}
	switch unique := declaration.Unique; {
	case unique.Within > 0:
		options.UniqueOpts = river.UniqueOpts{ByArgs: true, ByPeriod: unique.Within}
	case unique.Waiting:
		options.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: unfinished}
	}
	return river.InsertManyParams{Args: insertedArgs{job, declaration.Kind}, InsertOpts: options}
}

// unfinished are the states of a job that runs or will run.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable,
	rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// insertedArgs give args of any type to River.
type insertedArgs struct {
	args Args
	kind string
}

func (i insertedArgs) Kind() string                 { return i.kind }
func (i insertedArgs) MarshalJSON() ([]byte, error) { return json.Marshal(i.args) }

// kindsOf names jobs in an error: the kind of one, the number of many.
func kindsOf(inserts []river.InsertManyParams) string {
	if len(inserts) == 1 {
		return inserts[0].Args.Kind()
	}
	return fmt.Sprintf("%d jobs", len(inserts))
}
