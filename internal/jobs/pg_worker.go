package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
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
	queues    Queues
	client    *river.Client[pgx.Tx]
	heartbeat *heartbeat
	lock      *keyLock // nil when no kind has a limit
	pauses    *pauses
	stuck     *stuckRuns
	timeout   time.Duration
	log       *slog.Logger
	started   atomic.Bool
	active    atomic.Int64 // jobs that run
	bound     *failedBound
	unknown   unknownKinds
	commands  *commands
}

// RiverPoolSize is the number of connections that River itself needs: one for each
// queue that it fetches from, and the rest for results, for the leader and for its
// upkeep.
const RiverPoolSize = 8

// PGWorkerOptions configure a worker. All fields but River,
// Retention, StuckGrace, Signal and Version are required.
type PGWorkerOptions struct {
	River           *pgxpool.Pool // of RiverPoolSize connections, which jobs cannot use up; nil: River uses the pool of the jobs
	Concurrency     map[Queue]int // jobs at the same time of each queue that it works
	ShutdownTimeout time.Duration // how long running jobs may take to finish
	Retention       Retention     // of jobs that ended
	StuckGrace      time.Duration // how long a handler may run after the end of its context; default: 30 s
	Version         string        // of this build, for the table of processes
	Log             *slog.Logger
	Metrics         *Metrics
	Reporter        *telemetry.Reporter

	// Signal sends a signal to this process, for the commands of operators; default: as the
	// system does.
	Signal func(syscall.Signal) error
}

// NewPGWorker returns a worker of the kinds in handlers.
func NewPGWorker(db *pgxpool.Pool, handlers Handlers, options PGWorkerOptions) (*PGWorker, error) {
	w := &PGWorker{timeout: options.ShutdownTimeout, log: options.Log}
	if err := handlers.Check(PG, nil); err != nil {
		return nil, err
	}
	workers, mask := river.NewWorkers(), handlers.Mask()
	lock := newKeyLock(db, nil, options.Log)
	if handlers.limited() {
		w.lock = lock
	}
	w.pauses = newPauses(db, options.Log)
	for _, handler := range handlers {
		(&riverWorker{handler: handler, db: db, lock: lock, pauses: w.pauses, stopping: w.stopping}).addTo(workers)
	}
	queues := map[string]river.QueueConfig{}
	concurrency := 0
	for queue, slots := range options.Concurrency {
		queues[string(queue)] = river.QueueConfig{MaxWorkers: slots, FetchCooldown: FetchCooldown(queue)}
		w.queues = append(w.queues, queue)
		concurrency += slots
	}
	slices.Sort(w.queues)
	w.unknown = unknownKinds{db: db, known: handlers.Kinds(), queues: w.queues.Names(), log: options.Log}
	w.bound = &failedBound{
		noun: "jobs", most: options.Retention.MostFailed, count: failedJobs{db}.count, trim: failedJobs{db}.trim,
		log: options.Log, reporter: options.Reporter,
	}
	w.heartbeat = newHeartbeat(db, newProcess(PG, options.Version, w.queues, concurrency), w.running, options.Log, options.Reporter)
	w.commands = newCommands(db, w.heartbeat.process.ID, options.Signal, options.Log)
	w.stuck = newStuckRuns(PG, handlers, concurrency, options.StuckGrace, options.Log, options.Metrics, options.Reporter)
	var err error
	w.client, err = river.NewClient(riverpgxv5.New(cmp.Or(options.River, db)), &river.Config{
		ID:                          w.heartbeat.process.ID,
		Queues:                      queues,
		Workers:                     workers,
		FetchOnlyKnownKinds:         true,
		RescueStuckJobsAfter:        rescueAfter,
		SoftStopTimeout:             options.ShutdownTimeout,
		JobStuckHandler:             w.stuck.handleJob,
		JobStuckThreshold:           w.stuck.grace,
		CompletedJobRetentionPeriod: options.Retention.Done,
		CancelledJobRetentionPeriod: options.Retention.Cancelled,
		DiscardedJobRetentionPeriod: kept(options.Retention.Failed),

		Middleware: []rivertype.Middleware{&observeJobs{
			log: options.Log, metrics: options.Metrics, active: &w.active, mask: mask,
			inFlight: options.Metrics.inFlight.WithLabelValues(string(PG)),
		}},
		ErrorHandler: reportJobs{options.Log, options.Reporter, mask},
		Logger:       slog.New(newQuietRiver(options.Log)),
	})
	if err != nil {
		return nil, fmt.Errorf("prepare River: %w", err)
	}
	return w, nil
}

// Run runs jobs until ctx ends, and then finishes the running jobs or returns them
// to their queues. It waits for a database that is unavailable. It returns ErrStuck
// when too many handlers ignore the end of their context, and ErrDeclaredDead when other workers have taken its jobs.
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
	var beside sync.WaitGroup
	beside.Go(func() { w.bound.run(beating) })
	beside.Go(func() { w.commands.run(beating) })
	beside.Go(func() { w.unknown.run(beating) })
	beside.Go(func() { w.pauses.run(beating) })
	if w.lock != nil {
		beside.Go(func() { w.lock.sweepUntil(beating) })
	}
	defer beside.Wait()
	defer stopBeating()
	var stuck error
	select {
	case err := <-ended:
		return errors.Join(err, w.stopDead())
	case <-w.stuck.tooMany:
		stuck = ErrStuck
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
	if err := w.client.Stop(stopping); err != nil {
		w.abandon(stuck != nil)
	}
	stopBeating()
	return errors.Join(stuck, w.heartbeat.afterStop(<-ended))
}

// CheckStuck returns an error that names the kinds of which handlers ignore the end
// of their context.
func (w *PGWorker) CheckStuck() error { return w.stuck.check() }

// Quiet takes no more jobs and finishes the running ones. Only a new process takes
// jobs again.
func (w *PGWorker) Quiet(ctx context.Context) {
	w.heartbeat.state.Store(Quiet)
	w.log.InfoContext(ctx, "Quiet: worker takes no more jobs")
	for _, queue := range w.queues {
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
	if queue == Low {
		return 10 * time.Millisecond
	}
	return time.Millisecond
}

// Private

// rescueAfter is the run time from which River makes a job available again. It is
// for a job that a live worker has lost; the heartbeat releases the jobs of dead
// workers much sooner. It is longer than any timeout, also of a newer release,
// because River discards rescued jobs of unknown kinds.
const rescueAfter = time.Hour

func (w *PGWorker) running() int { return int(w.active.Load()) }

func (w *PGWorker) stopping() bool { return w.heartbeat.state.Load() == Stopping }

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

// abandonTimeout bounds the release of the jobs that still run.
const abandonTimeout = time.Second

// abandon releases the jobs whose handlers still run after the end of their
// context. The handlers end with the process. Stuck jobs that ended the worker count
// a crash, so that they do not end workers for ever. When the database does not let it,
// the worker's row stays, so that another worker releases the jobs.
func (w *PGWorker) abandon(stuck bool) {
	ctx, cancel := context.WithTimeout(context.Background(), abandonTimeout)
	defer cancel()
	released, err := w.heartbeat.releaser.releaseOwn(ctx, w.heartbeat.process.ID, stuck)
	within := (w.timeout + stopGrace).String()
	switch {
	case err != nil && w.running() == 0:
		w.heartbeat.keepRow.Store(true)
		w.log.Warn("Worker stops although River has not ended, because no job runs and the database does not accept "+
			"the results of the last jobs. Another worker runs these jobs again", "again_within", runAgainWithin.String(), "error", err)
	case err != nil:
		w.heartbeat.keepRow.Store(true)
		w.log.Error("Jobs still run after their context ended, and the database does not accept that they return to their queues. "+
			"Another worker runs them again", "jobs", w.running(), "within", within, "again_within", runAgainWithin.String(), "error", err)
	case w.running() == 0:
		w.log.Warn("Worker stops although River has not ended, because no job runs", "jobs", released)
	default:
		w.log.Error("Jobs still run after their context ended and were returned to their queues", "jobs", released, "within", within)
	}
}

// start starts River, and tries again until it can. It returns false when ctx ended
// first.
func (w *PGWorker) start(ctx context.Context) bool {
	attempts := telemetry.NewLoopLog(w.log, "Worker cannot take jobs yet and tries again", "Worker could not take jobs at first and does now")
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		err := w.heartbeat.beat(ctx)
		if errors.Is(err, ErrDeclaredDead) {
			w.heartbeat.process.StartedAt = time.Time{} // it runs no jobs yet, so it may insert a new row
		}
		if err == nil {
			err = w.pauses.read(ctx) // before the first job
		}
		if err == nil {
			err = w.startRiver(ctx)
		}
		if err == nil {
			attempts.Worked(ctx)
			return true
		}
		if ctx.Err() != nil {
			return false
		}
		attempts.Failed(ctx, err)
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
	}
}

// startRiver starts River. The end of ctx ends an attempt that waits for the
// database, but not a River that has started: Stop ends that within its time limit.
func (w *PGWorker) startRiver(ctx context.Context) error {
	starting, giveUp := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, giveUp)
	defer stop()
	if err := w.client.Start(starting); err != nil {
		giveUp()
		return fmt.Errorf("start River: %w", err)
	}
	return nil
}
