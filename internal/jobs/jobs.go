// Package jobs runs work in the background. Jobs are stored in PostgreSQL
// (River) and commit with the change that causes them. Tasks are stored in Redis
// (asynq); they are frequent, short and soon out of date.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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
	db      *pgxpool.Pool
	client  *river.Client[pgx.Tx]
	metrics *Metrics
	known   *catalogue
}

// NewJobs returns an enqueuer that writes to pool. It runs no jobs.
func NewJobs(pool *pgxpool.Pool, metrics *Metrics) (*Jobs, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		// An enqueuer notifies the workers at most once in this time. A job that is
		// enqueued sooner waits for their next poll, up to a second later.
		FetchCooldown: river.FetchCooldownMin,
		Hooks:         []rivertype.Hook{finishInsert},
		Logger:        slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return &Jobs{db: pool, client: client, metrics: metrics}, nil
}

// Know lets the enqueuer refuse kinds that are no jobs of this application. Without
// it, every kind is enqueued.
func (j *Jobs) Know(kinds Handlers) {
	j.known = newCatalogue("job", kinds)
	j.metrics.startAtZero(PG, kinds)
}

// Enqueue inserts jobs in the transaction of the change that causes them, so
// that both commit or neither does. It leaves out a unique job when an equal one
// exists. It refuses a kind without a handler, and args that are larger than
// MaxArgs. Any number of jobs takes a few statements.
func (j *Jobs) Enqueue(ctx context.Context, tx pgx.Tx, jobs ...Args) error {
	return j.EnqueueAt(ctx, tx, time.Time{}, jobs...)
}

// EnqueueAt is Enqueue for jobs that run at a time or later. The zero time means
// after the delay of their kind, if it has one.
func (j *Jobs) EnqueueAt(ctx context.Context, tx pgx.Tx, at time.Time, jobs ...Args) error {
	_, err := j.enqueue(ctx, tx, at, metadata{}, jobs)
	return err
}

// EnqueueNow is Enqueue in a transaction of its own, for work that no change
// causes.
func (j *Jobs) EnqueueNow(ctx context.Context, jobs ...Args) error {
	return pgx.BeginFunc(ctx, j.db, func(tx pgx.Tx) error { return j.Enqueue(ctx, tx, jobs...) })
}

// Private

// enqueue inserts jobs with metadata, except duplicates, and returns how many are new.
func (j *Jobs) enqueue(ctx context.Context, tx pgx.Tx, at time.Time, more metadata, jobs []Args) (inserted int, err error) {
	cause := causeOf(ctx)
	more.Request, more.Parent = cause.Request, cause.Parent
	inserts := make([]insert, len(jobs))
	for i, job := range jobs {
		if inserts[i], err = j.insertOf(job, at, more); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	inserted, err = j.insertAll(ctx, tx, inserts)
	if len(jobs) > 0 {
		telemetry.TraceOf(ctx).Add(telemetry.EnqueueSpan, inserts[0].args.declaration.Kind, began, err)
	}
	return inserted, err
}

// copiedFrom is the number of jobs from which COPY is faster than INSERT.
const copiedFrom = 10

// insertAll inserts jobs, except duplicates, and returns how many are new.
func (j *Jobs) insertAll(ctx context.Context, tx pgx.Tx, inserts []insert) (inserted int, err error) {
	var plain, waiting, within []insert
	for _, one := range inserts {
		switch unique := one.args.declaration.Unique; {
		case unique.Within > 0:
			within = append(within, one)
		case unique.Waiting:
			waiting = append(waiting, one)
		default:
			plain = append(plain, one)
		}
	}
	if err := j.insertPlain(ctx, tx, plain); err != nil {
		return 0, err
	}
	ofWaiting, err := j.insertWaiting(ctx, tx, waiting)
	if err != nil {
		return 0, err
	}
	ofWithin, err := j.insertWithin(ctx, tx, within)
	return len(plain) + ofWaiting + ofWithin, err
}

// insertPlain inserts jobs that are not unique.
func (j *Jobs) insertPlain(ctx context.Context, tx pgx.Tx, inserts []insert) error {
	if len(inserts) < copiedFrom {
		_, err := j.insertMany(ctx, tx, inserts)
		return err
	}
	var now time.Time
	if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return fmt.Errorf("ask the database for the time: %w", err)
	}
	ctx = context.WithValue(ctx, dueAt{}, now)
	if _, err := j.client.InsertManyFastTx(ctx, tx, paramsOf(inserts)); err != nil {
		return fmt.Errorf("enqueue %s: %w", kindsOf(inserts), err)
	}
	for _, one := range inserts {
		j.count(one, "ok")
	}
	return nil
}

// insertMany inserts jobs in one statement and returns the result of each.
func (j *Jobs) insertMany(ctx context.Context, tx pgx.Tx, inserts []insert) ([]*rivertype.JobInsertResult, error) {
	if len(inserts) == 0 {
		return nil, nil
	}
	results, err := j.client.InsertManyTx(ctx, tx, paramsOf(inserts))
	if err != nil {
		return nil, fmt.Errorf("enqueue %s: %w", kindsOf(inserts), err)
	}
	for i, result := range results {
		outcome := "ok"
		if result.UniqueSkippedAsDuplicate {
			outcome = "duplicate"
		}
		j.count(inserts[i], outcome)
	}
	return results, nil
}

func (j *Jobs) count(one insert, outcome string) {
	j.metrics.enqueued.WithLabelValues(string(PG), one.args.declaration.Kind, outcome).Inc()
}

// insert is a job on its way into the database.
type insert struct {
	args    insertedArgs
	options *river.InsertOpts
	unique  []byte // see uniqueKey; nil for a job that is not unique
}

// insertedArgs give the JSON of args of any kind to River.
type insertedArgs struct {
	declaration Declaration
	payload     []byte
	unique      []byte // in place of River's own key
}

func (i insertedArgs) Kind() string                 { return i.declaration.Kind }
func (i insertedArgs) MarshalJSON() ([]byte, error) { return i.payload, nil }

// insertOf returns a job as River stores it.
func (j *Jobs) insertOf(job Args, at time.Time, more metadata) (insert, error) {
	declaration := job.Declare().withDefaults()
	if err := j.known.check(declaration.Kind); err != nil {
		return insert{}, err
	}
	payload, err := payloadOf(declaration.Kind, job)
	if err != nil {
		return insert{}, err
	}
	return newInsert(declaration, payload, at, more), nil
}

func newInsert(declaration Declaration, payload []byte, at time.Time, more metadata) insert {
	at, more.ExpiresAt = declaration.schedule(at)
	one := insert{
		args: insertedArgs{declaration: declaration, payload: payload},
		options: &river.InsertOpts{
			Queue: string(declaration.Queue), Priority: declaration.Priority, MaxAttempts: declaration.mostAttempts(),
			ScheduledAt: at, Metadata: more.json(),
		},
	}
	if unique := declaration.Unique; unique.Within > 0 || unique.Waiting {
		one.unique = uniqueKey(declaration, payload)
	}
	return one
}

// finishInsert sets what River's options cannot: the time of jobs that are due now
// is by the clock of the database, because workers fetch by that clock. River uses
// the clock of this machine: if it is fast, workers are notified of a job before it
// is due. The key of a unique job has only the args that its kind names.
var finishInsert = river.HookInsertBeginFunc(func(ctx context.Context, job *rivertype.JobInsertParams) error {
	if job.ScheduledAt == nil {
		at, _ := ctx.Value(dueAt{}).(time.Time) // River's INSERT turns zero into now(), its COPY does not
		job.ScheduledAt = &at
	}
	if args, is := job.Args.(insertedArgs); is && args.unique != nil {
		job.UniqueKey = args.unique
	}
	return nil
})

// dueAt is the context key of the database's time.
type dueAt struct{}

func paramsOf(inserts []insert) []river.InsertManyParams {
	params := make([]river.InsertManyParams, len(inserts))
	for i, one := range inserts {
		params[i] = river.InsertManyParams{Args: one.args, InsertOpts: one.options}
	}
	return params
}

// kindsOf names jobs in an error: the kinds, and how many there are.
func kindsOf(inserts []insert) string {
	var kinds []string
	for _, one := range inserts {
		if !slices.Contains(kinds, one.args.declaration.Kind) {
			kinds = append(kinds, one.args.declaration.Kind)
		}
	}
	if len(inserts) == 1 {
		return kinds[0]
	}
	return fmt.Sprintf("%d jobs of %v", len(inserts), kinds)
}
