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
)

// Jobs enqueues jobs.
type Jobs struct {
	client  *river.Client[pgx.Tx]
	metrics *Metrics
}

// NewJobs makes an enqueuer over pool. It works nothing by itself.
func NewJobs(pool *pgxpool.Pool, metrics *Metrics) (*Jobs, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		// An enqueuer wakes workers once in this time only: what comes right after
		// would wait for their next look, a second later.
		FetchCooldown: river.FetchCooldownMin,
		Hooks:         []rivertype.Hook{dueByDatabase},
		Logger:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return &Jobs{client: client, metrics: metrics}, nil
}

// Enqueue inserts jobs in the transaction of the change that causes them: all
// commit, or nothing does. A job whose kind is unique and that is there already
// is left out.
func (j *Jobs) Enqueue(ctx context.Context, tx pgx.Tx, jobs ...Args) error {
	return j.EnqueueAt(ctx, tx, time.Time{}, jobs...)
}

// EnqueueAt is Enqueue for jobs that are not to run before at.
func (j *Jobs) EnqueueAt(ctx context.Context, tx pgx.Tx, at time.Time, jobs ...Args) error {
	var many []river.InsertManyParams
	for _, job := range jobs {
		insert := insertOf(job, at)
		if !insert.InsertOpts.UniqueOpts.ByArgs {
			many = append(many, insert)
			continue
		}
		// By itself: one statement cannot meet the same unique job twice.
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

// copiedFrom is the number of jobs from which COPY is quicker than INSERT.
const copiedFrom = 10

// copy inserts jobs of which none is unique.
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

// dueByDatabase makes jobs that are due at once due by the clock of the database,
// by which they are taken. River writes this machine's: where that is ahead,
// workers would be told of a job and not find it yet.
var dueByDatabase = river.HookInsertBeginFunc(func(ctx context.Context, job *rivertype.JobInsertParams) error {
	if job.ScheduledAt == nil {
		at, _ := ctx.Value(dueAt{}).(time.Time) // River's INSERT takes zero for now(), its COPY does not
		job.ScheduledAt = &at
	}
	return nil
})

// dueAt is the key of the database's time in a context.
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

// insertOf is how River stores a job, by its declaration.
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

// unfinished are the states of a job that will still run.
var unfinished = []rivertype.JobState{
	rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
}

// insertedArgs are args on their way into River, whatever their type.
type insertedArgs struct {
	args Args
	kind string
}

func (i insertedArgs) Kind() string                 { return i.kind }
func (i insertedArgs) MarshalJSON() ([]byte, error) { return json.Marshal(i.args) }

// kindsOf names jobs for an error, which has no use for a long list.
func kindsOf(inserts []river.InsertManyParams) string {
	if len(inserts) == 1 {
		return inserts[0].Args.Kind()
	}
	return fmt.Sprintf("%d jobs", len(inserts))
}
