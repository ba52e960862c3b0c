package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"
)

// jobTimeout ends one run of a job. A job whose worker died is run again after
// rescueAfter.
const (
	jobTimeout  = 30 * time.Second
	rescueAfter = 40 * time.Second
)

// stopGrace is what a worker waits beyond its shutdown timeout for handlers
// that were told to stop.
const stopGrace = 3 * time.Second

// PGWorker works jobs.
type PGWorker struct {
	client  *river.Client[pgx.Tx]
	timeout time.Duration
	log     *slog.Logger
	started atomic.Bool
}

// PGWorkerOptions say how a worker works.
type PGWorkerOptions struct {
	Concurrency     int
	ShutdownTimeout time.Duration
	Log             *slog.Logger
	Metrics         *Metrics
}

// NewPGWorker makes a worker of the kinds in workers.
func NewPGWorker(pool *pgxpool.Pool, workers *river.Workers, options PGWorkerOptions) (*PGWorker, error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: options.Concurrency, FetchCooldown: 10 * time.Millisecond}},
		Workers:              workers,
		FetchOnlyKnownKinds:  true,
		JobTimeout:           jobTimeout,
		RescueStuckJobsAfter: rescueAfter,
		SoftStopTimeout:      options.ShutdownTimeout,
		Middleware:           []rivertype.Middleware{&observeJobs{log: options.Log, metrics: options.Metrics}},
		ErrorHandler:         logPanics{options.Log},
		Logger:               slog.New(quietRiver{options.Log.Handler()}),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return &PGWorker{client: client, timeout: options.ShutdownTimeout, log: options.Log}, nil
}

// Run works jobs until ctx ends, then finishes what it has in hand or hands it
// back. It waits for a database that is not there yet.
func (w *PGWorker) Run(ctx context.Context) error {
	if !w.start(ctx) {
		return nil
	}
	w.started.Store(true)
	w.log.InfoContext(ctx, "Working jobs")

	<-ctx.Done()
	w.log.Info("Stopping: no more jobs are taken, those in hand are finished", "within", w.timeout.String())
	stopping, cancel := context.WithTimeout(context.Background(), w.timeout+stopGrace)
	defer cancel()
	if err := w.client.Stop(stopping); err != nil {
		return fmt.Errorf("stop: jobs in hand did not heed the end of their context within %s: %w", w.timeout+stopGrace, err)
	}
	return nil
}

// Started tells whether the worker has begun to take jobs.
func (w *PGWorker) Started() bool { return w.started.Load() }

// Private

// start returns false when ctx ended first.
func (w *PGWorker) start(ctx context.Context) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		// River must outlive ctx: Stop ends it, within its budget.
		err := w.client.Start(context.WithoutCancel(ctx))
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		w.log.WarnContext(ctx, "Cannot work jobs yet, trying again", "in", pause.String(), "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// observeJobs logs and counts every run of a job.
type observeJobs struct {
	river.MiddlewareDefaults
	log     *slog.Logger
	metrics *Metrics
}

func (o *observeJobs) Work(ctx context.Context, job *rivertype.JobRow, next func(context.Context) error) error {
	run := work{backend: PG, queue: job.Queue, kind: job.Kind, id: job.ID, attempt: job.Attempt, started: time.Now()}
	finished := false
	defer func() {
		if !finished {
			o.metrics.finish(ctx, o.log, run, errors.New("panic"))
		}
	}()
	err := next(ctx)
	finished = true
	o.metrics.finish(ctx, o.log, run, err)
	return err
}

// logPanics gives a panic's stack, which observeJobs cannot see.
type logPanics struct{ log *slog.Logger }

func (l logPanics) HandleError(context.Context, *rivertype.JobRow, error) *river.ErrorHandlerResult {
	return nil
}

func (l logPanics) HandlePanic(ctx context.Context, job *rivertype.JobRow, cause any, stack string) *river.ErrorHandlerResult {
	l.log.ErrorContext(ctx, "Job panicked", "kind", job.Kind, "id", job.ID, "panic", fmt.Sprint(cause), "stack", stack)
	return nil
}

// quietRiver passes River's warnings and errors on. What becomes of each job
// observeJobs logs.
type quietRiver struct{ slog.Handler }

func (q quietRiver) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quietRiver) WithAttrs(attributes []slog.Attr) slog.Handler {
	return quietRiver{q.Handler.WithAttrs(attributes)}
}

func (q quietRiver) WithGroup(name string) slog.Handler { return quietRiver{q.Handler.WithGroup(name)} }
