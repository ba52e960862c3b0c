package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/telemetry"
)

// PGWorker runs jobs.
type PGWorker struct {
	client    *river.Client[pgx.Tx]
	heartbeat *heartbeat
	timeout   time.Duration
	log       *slog.Logger
	started   atomic.Bool
	active    atomic.Int64 // jobs that run
}

// PGWorkerOptions configure a worker. All fields but Version are required.
type PGWorkerOptions struct {
	Concurrency     map[Queue]int // jobs of each queue at the same time
	ShutdownTimeout time.Duration // how long running jobs may take to finish
	Version         string        // of this build, for the table of processes
	Log             *slog.Logger
	Metrics         *Metrics
	Reporter        *telemetry.Reporter
}

// NewPGWorker returns a worker of the kinds in handlers.
func NewPGWorker(db *pgxpool.Pool, handlers Handlers, options PGWorkerOptions) (*PGWorker, error) {
	w := &PGWorker{timeout: options.ShutdownTimeout, log: options.Log}
	workers, lock := river.NewWorkers(), newKeyLock(db)
	for _, handler := range handlers {
		if err := handler.addToRiver(workers, lock); err != nil {
			return nil, fmt.Errorf("add the job %s: %w", handler.Kind, err)
		}
	}
	queues := map[string]river.QueueConfig{}
	concurrency := 0
	for _, queue := range Queues {
		queues[string(queue)] = river.QueueConfig{MaxWorkers: options.Concurrency[queue], FetchCooldown: FetchCooldown(queue)}
		concurrency += options.Concurrency[queue]
	}
	w.heartbeat = newHeartbeat(db, newProcess(PG, options.Version, concurrency), w.running, options.Log, options.Reporter)
	var err error
	w.client, err = river.NewClient(riverpgxv5.New(db), &river.Config{
		ID:                   w.heartbeat.process.ID,
		Queues:               queues,
		Workers:              workers,
		FetchOnlyKnownKinds:  true,
		RescueStuckJobsAfter: rescueAfter,
		SoftStopTimeout:      options.ShutdownTimeout,
		Middleware:           []rivertype.Middleware{&observeJobs{log: options.Log, metrics: options.Metrics, active: &w.active}},
		ErrorHandler:         reportJobs{options.Log, options.Reporter},
		Logger:               slog.New(quietRiver{options.Log.Handler()}),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return w, nil
}

// Run runs jobs until ctx ends, and then finishes the running jobs or returns them
// to their queues. It waits for a database that is unavailable. It returns ErrDeclaredDead
// when other workers have taken its jobs.
func (w *PGWorker) Run(ctx context.Context) error {
	if !w.start(ctx) {
		return w.heartbeat.signOff(ctx)
	}
	w.started.Store(true)
	w.log.InfoContext(ctx, "Worker takes jobs")

	beating, stopBeating := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeating()
	ended := make(chan error, 1)
	go func() { ended <- w.heartbeat.run(beating) }()
	select {
	case err := <-ended:
		return errors.Join(err, w.stopDead())
	case <-ctx.Done():
	}

	w.heartbeat.state.Store(Stopping)
	w.log.Info("Stopping: worker takes no more jobs and finishes the running ones", "within", w.timeout.String())
	stopping, cancel := context.WithTimeout(context.Background(), w.timeout+stopGrace)
	defer cancel()
	go func() {
		if awaitIdle(stopping, w.running, pgIdleStop) {
			cancel()
		}
	}()
	err := w.client.Stop(stopping)
	if err != nil {
		if err = w.abandon(); err != nil {
			return err // the row stays, so that another worker releases the jobs
		}
	}
	stopBeating()
	return errors.Join(err, <-ended)
}

// Quiet takes no more jobs and finishes the running ones. Only a new process takes
// jobs again.
func (w *PGWorker) Quiet(ctx context.Context) {
	w.heartbeat.state.Store(Quiet)
	w.log.InfoContext(ctx, "Quiet: worker takes no more jobs")
	for _, queue := range Queues {
		// River stops the queue at once, and then waits for its jobs. This method does
		// not wait.
		at, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		if err := w.client.Queues().Remove(at, string(queue)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			w.log.WarnContext(ctx, "Worker could not stop taking jobs of a queue", "queue", string(queue), "error", err)
		}
		cancel()
	}
}

// Started reports whether the worker has started to take jobs.
func (w *PGWorker) Started() bool { return w.started.Load() }

// FetchCooldown is the shortest time between two fetches of a queue. River starts
// at most MaxWorkers jobs in that time.
func FetchCooldown(queue Queue) time.Duration {
	return map[Queue]time.Duration{Critical: time.Millisecond, Default: time.Millisecond, Low: 10 * time.Millisecond}[queue]
}

// Private

// rescueAfter is the run time from which River makes a job available again. It is
// for a job that a live worker has lost; the heartbeat releases the jobs of dead
// workers much sooner. It is longer than any timeout, also of a newer release,
// because River discards rescued jobs of unknown kinds.
const rescueAfter = time.Hour

func (w *PGWorker) running() int { return int(w.active.Load()) }

// stopDead stops a worker that was declared dead, and releases the jobs that it
// took after that: no other worker releases them.
func (w *PGWorker) stopDead() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	stopping, stopped := context.WithTimeout(ctx, time.Second)
	defer stopped()
	_ = w.client.StopAndCancel(stopping) // the jobs of handlers that do not end are released too
	_, err := w.heartbeat.releaser.releaseOwn(ctx, w.heartbeat.process.ID, true)
	return err
}

// pgIdleStop is how long a stopping worker waits for River while no job runs.
// River may never end when its queues were removed while it started.
const pgIdleStop = 5 * time.Second

// abandon releases the jobs whose handlers still run after the end of their
// context. The handlers end with the process.
func (w *PGWorker) abandon() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	released, err := w.heartbeat.releaser.releaseOwn(ctx, w.heartbeat.process.ID, false)
	if err != nil {
		return fmt.Errorf("stop: %d jobs still run %s after the stop signal: %w", w.active.Load(), w.timeout+stopGrace, err)
	}
	if w.active.Load() == 0 {
		w.log.Warn("Worker stops although River has not ended, because no job runs", "jobs", released)
		return nil
	}
	within := w.timeout + stopGrace
	w.log.Error("Jobs still run after their context ended and were returned to their queues", "jobs", released, "within", within.String())
	return nil
}

// start starts River, and tries again until it can. It returns false when ctx ended
// first.
func (w *PGWorker) start(ctx context.Context) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := w.heartbeat.beat(ctx)
		if errors.Is(err, ErrDeclaredDead) {
			w.heartbeat.process.StartedAt = time.Time{} // it runs no jobs yet, so it may insert a new row
		}
		if err == nil {
			err = w.client.Start(context.WithoutCancel(ctx)) // Stop ends River, within its time limit
		}
		if err == nil {
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		w.log.WarnContext(ctx, "Worker cannot take jobs yet and tries again", "in", pause.String(), "error", err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// observeJobs counts and logs every run of a job.
type observeJobs struct {
	river.MiddlewareDefaults
	log     *slog.Logger
	metrics *Metrics
	active  *atomic.Int64
}

func (o *observeJobs) Work(ctx context.Context, job *rivertype.JobRow, next func(context.Context) error) error {
	o.active.Add(1)
	defer o.active.Add(-1)
	record := runRecord{
		backend: PG, queue: job.Queue, kind: job.Kind, id: job.ID, attempt: job.Attempt,
		started: time.Now(), routine: bytes.Contains(job.Metadata, recurringRun),
	}
	finished := false
	defer func() {
		if !finished {
			o.metrics.observe(context.WithoutCancel(ctx), o.log, record, errors.New("panic")) // failed, even if ctx has ended
		}
	}()
	err := next(ctx)
	finished = true
	o.metrics.observe(ctx, o.log, record, err)
	return err
}

// reportJobs reports jobs that failed for good, and jobs that panicked. It logs
// the stack of a panic, which observeJobs cannot see.
type reportJobs struct {
	log      *slog.Logger
	reporter *telemetry.Reporter
}

func (r reportJobs) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	if job.Attempt >= job.MaxAttempts {
		r.reporter.Unexpected("job "+job.Kind, strconv.FormatInt(job.ID, 10), err)
	}
	return nil
}

func (r reportJobs) HandlePanic(ctx context.Context, job *rivertype.JobRow, cause any, stack string) *river.ErrorHandlerResult {
	r.reporter.Unexpected("job "+job.Kind, strconv.FormatInt(job.ID, 10), &telemetry.Panic{Cause: cause, Stack: stack})
	r.log.ErrorContext(ctx, "Job panicked", "kind", job.Kind, "id", job.ID, "panic", fmt.Sprint(cause), "stack", stack)
	return nil
}

// quietRiver drops River's messages below warning: observeJobs logs every run.
type quietRiver struct{ slog.Handler }

func (q quietRiver) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quietRiver) WithAttrs(attributes []slog.Attr) slog.Handler {
	return quietRiver{q.Handler.WithAttrs(attributes)}
}

func (q quietRiver) WithGroup(name string) slog.Handler { return quietRiver{q.Handler.WithGroup(name)} }
