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

// stopGrace is what a worker waits beyond its shutdown timeout for handlers
// that were told to stop. Then it hands back their work all the same.
const stopGrace = 5 * time.Second

// PGWorker works jobs.
type PGWorker struct {
	client  *river.Client[pgx.Tx]
	heart   *heart
	timeout time.Duration
	log     *slog.Logger
	started atomic.Bool
	inHand  atomic.Int64
}

// PGWorkerOptions say how a worker works.
type PGWorkerOptions struct {
	Concurrency     map[Queue]int // jobs of a queue at the same time
	ShutdownTimeout time.Duration
	Version         string // of this build, for the table of processes
	Log             *slog.Logger
	Metrics         *Metrics
	Reporter        *telemetry.Reporter
}

// NewPGWorker makes a worker of the kinds in handlers.
func NewPGWorker(db *pgxpool.Pool, handlers Handlers, options PGWorkerOptions) (*PGWorker, error) {
	w := &PGWorker{timeout: options.ShutdownTimeout, log: options.Log}
	workers, alone := river.NewWorkers(), newExclusive(db)
	for _, handler := range handlers {
		if err := handler.river(workers, alone); err != nil {
			return nil, fmt.Errorf("add the job %s: %w", handler.Kind, err)
		}
	}
	queues := map[string]river.QueueConfig{}
	concurrency := 0
	for _, queue := range Queues {
		queues[string(queue)] = river.QueueConfig{MaxWorkers: options.Concurrency[queue], FetchCooldown: FetchCooldown(queue)}
		concurrency += options.Concurrency[queue]
	}
	w.heart = newHeart(db, Process{Backend: PG, Version: options.Version, Concurrency: concurrency}, func() int { return int(w.inHand.Load()) }, options.Log, options.Reporter)
	var err error
	w.client, err = river.NewClient(riverpgxv5.New(db), &river.Config{
		ID:                   w.heart.process.ID,
		Queues:               queues,
		Workers:              workers,
		FetchOnlyKnownKinds:  true,
		RescueStuckJobsAfter: rescueAfter,
		SoftStopTimeout:      options.ShutdownTimeout,
		Middleware:           []rivertype.Middleware{&observeJobs{log: options.Log, metrics: options.Metrics, inHand: &w.inHand}},
		ErrorHandler:         reportJobs{options.Log, options.Reporter},
		Logger:               slog.New(quietRiver{options.Log.Handler()}),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return w, nil
}

// Run works jobs until ctx ends, then finishes what it has in hand or hands it
// back. It waits for a database that is not there yet.
func (w *PGWorker) Run(ctx context.Context) error {
	if !w.start(ctx) {
		return w.heart.signOff(ctx)
	}
	w.started.Store(true)
	w.log.InfoContext(ctx, "Working jobs")

	beating, stopBeating := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBeating()
	heart := make(chan error, 1)
	go func() { heart <- w.heart.run(beating) }()
	select {
	case err := <-heart:
		return errors.Join(err, w.die())
	case <-ctx.Done():
	}

	w.heart.state.Store(Stopping)
	w.log.Info("Stopping: no more jobs are taken, those in hand are finished", "within", w.timeout.String())
	stopping, cancel := context.WithTimeout(context.Background(), w.timeout+stopGrace)
	defer cancel()
	go w.awaitIdle(stopping, cancel)
	err := w.client.Stop(stopping)
	if err != nil {
		if err = w.abandon(); err != nil {
			return err // without signing off: others notice, and release the jobs
		}
	}
	stopBeating()
	return errors.Join(err, <-heart)
}

// Quiet takes no more jobs and finishes those in hand. There is no way back
// but a new process.
func (w *PGWorker) Quiet(ctx context.Context) {
	w.heart.state.Store(Quiet)
	w.log.InfoContext(ctx, "Quiet: no more jobs are taken")
	for _, queue := range Queues {
		// River stops the queue at once and then waits for its jobs, which is not
		// for us to do.
		at, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		if err := w.client.Queues().Remove(at, string(queue)); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			w.log.WarnContext(ctx, "Queue was not stopped", "queue", string(queue), "error", err)
		}
		cancel()
	}
}

// Started tells whether the worker has begun to take jobs.
func (w *PGWorker) Started() bool { return w.started.Load() }

// FetchCooldown is the least time between two fetches of a queue. River never
// works more than MaxWorkers jobs in that time.
func FetchCooldown(queue Queue) time.Duration {
	return map[Queue]time.Duration{Critical: time.Millisecond, Default: time.Millisecond, Low: 10 * time.Millisecond}[queue]
}

// Private

// rescueAfter is when River takes a running job for forgotten. The heart
// releases jobs of dead workers long before; this is for a worker that lives and
// has lost one. It is far beyond any timeout, also of a newer release: River
// discards what it rescues and does not know.
const rescueAfter = time.Hour

// die stops a worker that others take for dead, and hands back what it took
// after they had taken its jobs: nobody looks at this worker again.
func (w *PGWorker) die() error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	stopping, stopped := context.WithTimeout(ctx, time.Second)
	defer stopped()
	_ = w.client.StopAndCancel(stopping) // handlers that do not end are handed back all the same
	if _, err := w.heart.handBack(ctx, true); err != nil {
		return err
	}
	return nil
}

// idleGoodbye is how long a worker with nothing in hand waits for River to end.
const idleGoodbye = 5 * time.Second

// awaitIdle gives up the wait for River when nothing has been in hand for long:
// one whose queues were removed while it started may never end.
func (w *PGWorker) awaitIdle(stopping context.Context, giveUp func()) {
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for idleSince := time.Now(); time.Since(idleSince) < idleGoodbye; {
		select {
		case <-stopping.Done():
			return
		case now := <-look.C:
			if w.inHand.Load() > 0 {
				idleSince = now
			}
		}
	}
	giveUp()
}

// abandon hands back jobs whose handlers do not heed the end of their context.
// They end with the process.
func (w *PGWorker) abandon() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	released, err := w.heart.handBack(ctx, false)
	if err != nil {
		return fmt.Errorf("stop: %d jobs did not heed the end of their context within %s: %w", w.inHand.Load(), w.timeout+stopGrace, err)
	}
	if w.inHand.Load() == 0 {
		w.log.Warn("River did not end with nothing in hand: stopping without it", "jobs", released)
		return nil
	}
	w.log.Error("Jobs did not heed the end of their context and were handed back as they are", "jobs", released, "within", (w.timeout + stopGrace).String())
	return nil
}

// start returns false when ctx ended first.
func (w *PGWorker) start(ctx context.Context) bool {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		// River must outlive ctx: Stop ends it, within its budget.
		err := w.heart.beat(ctx)
		if errors.Is(err, ErrDeclaredDead) {
			w.heart.process.StartedAt = time.Time{} // it has nothing in hand: it may enter the table anew
		}
		if err == nil {
			err = w.client.Start(context.WithoutCancel(ctx))
		}
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
	inHand  *atomic.Int64
}

func (o *observeJobs) Work(ctx context.Context, job *rivertype.JobRow, next func(context.Context) error) error {
	o.inHand.Add(1)
	defer o.inHand.Add(-1)
	run := work{backend: PG, queue: job.Queue, kind: job.Kind, id: job.ID, attempt: job.Attempt, started: time.Now(), routine: bytes.Contains(job.Metadata, clockRun)}
	finished := false
	defer func() {
		if !finished {
			o.metrics.finish(context.WithoutCancel(ctx), o.log, run, errors.New("panic")) // also of one that was to end
		}
	}()
	err := next(ctx)
	finished = true
	o.metrics.finish(ctx, o.log, run, err)
	return err
}

// reportJobs tells people of jobs that failed for good, and gives a panic's
// stack, which observeJobs cannot see.
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
