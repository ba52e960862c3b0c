package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// RedisWorker runs tasks.
type RedisWorker struct {
	servers       *taskqueue.Servers
	cancellations *taskqueue.Cancellations
	reaper        *taskqueue.Reaper
	failed        *taskqueue.FailedTasks
	heartbeat     *heartbeat
	late          *taskqueue.LateRuns
	marks         *telemetry.LoopLog // of late
	lock          *keyLock
	pauses        *taskPauses
	stuck         *stuckRuns
	handlers      Handlers
	timeout       time.Duration
	log           *slog.Logger
	metrics       *Metrics
	reporter      *telemetry.Reporter
	started       atomic.Bool
	stopping      atomic.Bool
	unknown       *occasionally // logs kinds that this release has no handler of
	active        atomic.Int64  // tasks that run
	inFlight      prometheus.Gauge
	bound         *failedBound
	mask          Mask
	commands      *commands
}

// RedisWorkerOptions configure a worker. All fields but Namespace, PoolSize, Queues,
// Retention, StuckGrace, Signal and Version are required.
type RedisWorkerOptions struct {
	Queues          Queues        // that it works; default: StandardQueues
	URL             string        // of Redis
	Namespace       string        // of this installation in Redis, see failopen.Options
	PoolSize        int           // connections; more when Servers and Concurrency need more
	Servers         int           // fetch tasks side by side, at most Concurrency; one alone is limited by its round trips
	Concurrency     int           // tasks at the same time, over all servers
	CheckInterval   time.Duration // between two checks of an idle worker for tasks
	ShutdownTimeout time.Duration // how long running tasks may take to finish
	Retention       Retention     // of tasks that failed for good or were cancelled
	StuckGrace      time.Duration // how long a handler may run after the end of its context, under a minute; default: 30 s
	Version         string        // of this build, for the table of processes
	Log             *slog.Logger
	Metrics         *Metrics
	Reporter        *telemetry.Reporter

	// Signal sends a signal to this process, for the commands of operators; default: as the
	// system does.
	Signal func(syscall.Signal) error
}

// NewRedisWorker returns a worker of the kinds in handlers. The table of processes
// and the archive of failed tasks are in db.
func NewRedisWorker(db *pgxpool.Pool, handlers Handlers, options RedisWorkerOptions) (*RedisWorker, error) {
	if len(options.Queues) == 0 {
		options.Queues = StandardQueues
	}
	if err := handlers.Check(Redis, nil); err != nil {
		return nil, err
	}
	w := &RedisWorker{
		unknown: newOccasionally(time.Minute),
		failed:  taskqueue.NewFailedTasks(db), handlers: handlers, timeout: options.ShutdownTimeout,
		log: options.Log, metrics: options.Metrics, reporter: options.Reporter, mask: handlers.Mask(),
		inFlight: options.Metrics.inFlight.WithLabelValues(string(Redis)),
	}
	var err error
	w.servers, err = taskqueue.NewServers(taskQueues(options.Queues), taskqueue.ServersOptions{
		URL: options.URL, Namespace: options.Namespace, PoolSize: options.PoolSize, Servers: options.Servers, Concurrency: options.Concurrency,
		CheckInterval: options.CheckInterval, ShutdownTimeout: options.ShutdownTimeout,
		Work: w.work, Backoff: w.backoff, Failed: w.handleFailure, Reporter: options.Reporter,
	})
	if err != nil {
		return nil, err
	}
	w.cancellations = w.servers.Cancellations()
	w.late = w.servers.LateRuns()
	w.marks = telemetry.NewLoopLog(options.Log, "Another worker may run a task whose handler is stuck here",
		"No other worker runs a task whose handler is stuck here")
	w.stuck = newStuckRuns(Redis, handlers, options.Concurrency, options.StuckGrace, options.Log, options.Metrics, options.Reporter)
	w.lock = newKeyLock(db, w.servers.Waker(), options.Log)
	w.pauses = newTaskPauses(db, w.servers.PausedTasks(), options.Queues, handlers, options.Log)
	w.reaper = taskqueue.NewReaper(w.servers, w.failed, options.Retention, options.Log, options.Reporter)
	w.bound = &failedBound{
		noun: "tasks", most: options.Retention.MostFailed, count: w.failed.CountFailed, trim: w.reaper.Trim,
		log: options.Log, reporter: options.Reporter,
	}
	process := newProcess(Redis, options.Version, options.Queues, options.Concurrency)
	w.heartbeat = newHeartbeat(db, process, w.running, options.Log, options.Reporter)
	w.commands = newCommands(db, process.ID, options.Signal, options.Log)
	return w, nil
}

// Run runs tasks until ctx ends, and then finishes the running tasks or returns
// them to their queues. It waits for a Redis that is unavailable. It returns
// ErrStuck when too many handlers ignore the end of their context, and
// ErrDeclaredDead when its own heartbeat was missing for too long.
func (w *RedisWorker) Run(ctx context.Context) error {
	defer w.servers.StopLongPoll()
	if !w.pauses.awaitFirst(ctx) {
		return nil
	}
	if err := w.servers.Start(); err != nil {
		return err
	}
	w.started.Store(true)
	w.log.InfoContext(ctx, "Worker takes tasks")

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	ended := make(chan error, 1)
	go func() { ended <- w.heartbeat.run(background) }()
	var reaping sync.WaitGroup
	reaping.Go(func() { w.reaper.Run(background) })
	reaping.Go(func() { w.bound.run(background) })
	reaping.Go(func() { w.commands.run(background) })
	reaping.Go(func() { w.pauses.run(background) })
	if w.handlers.limited() {
		reaping.Go(func() { w.lock.sweepUntil(background) })
	}
	defer reaping.Wait()
	defer stopBackground()
	var stuck error
	select {
	case err := <-ended:
		return err
	case <-w.stuck.tooMany:
		stuck = ErrStuck
	case <-ctx.Done():
	}

	w.heartbeat.state.Store(Stopping)
	w.stopping.Store(true)
	w.servers.StopLongPoll()
	w.log.Info("Stopping: worker takes no more tasks and finishes the running ones", "within", w.timeout.String())
	err := w.stop()
	stopBackground()
	return errors.Join(stuck, err, w.heartbeat.afterStop(<-ended))
}

// CheckStuck returns an error that names the kinds of which handlers ignore the end
// of their context.
func (w *RedisWorker) CheckStuck() error { return w.stuck.check() }

// Quiet takes no more tasks and finishes the running ones. Only a new process
// takes tasks again.
func (w *RedisWorker) Quiet(ctx context.Context) {
	w.heartbeat.state.Store(Quiet)
	w.log.InfoContext(ctx, "Quiet: worker takes no more tasks")
	w.servers.Stop()
}

// Started reports whether the worker has started to ask for tasks.
func (w *RedisWorker) Started() bool { return w.started.Load() }

// Private

// redisIdleStop is how long a stopping worker waits for asynq while no task runs.
// asynq itself waits for a Redis that does not reply for as long as its client
// retries.
const redisIdleStop = 2 * time.Second

func (w *RedisWorker) running() int { return int(w.active.Load()) }

// stop waits until asynq has stopped, or until there is nothing left to wait for.
// It closes the connections only when asynq has stopped, because asynq panics
// when it uses a closed connection.
func (w *RedisWorker) stop() error {
	stopping, cancel := context.WithTimeout(context.Background(), w.timeout+stopGrace)
	defer cancel()
	stopped, idle := make(chan struct{}), make(chan struct{})
	go func() {
		w.servers.Shutdown()
		close(stopped)
	}()
	go func() {
		if awaitIdle(stopping, w.running, redisIdleStop) {
			close(idle)
		}
	}()
	select {
	case <-stopped:
		if w.running() > 0 {
			w.log.Error("Tasks still run after their context ended and were returned to their queues",
				"tasks", w.running(), "within", w.timeout.String())
		}
		return w.servers.Close()
	case <-idle:
		w.log.Warn("Worker stops without asynq, because Redis does not reply and no task runs")
		return nil
	case <-stopping.Done():
		w.log.Error("Tasks still run after their context ended and Redis does not reply. Other workers take them when their leases run out",
			"tasks", w.running(), "within", (w.timeout + stopGrace).String(), "again_within", taskqueue.RunAgainWithin.String())
		return nil
	}
}

// unknownKindPause is how long a task of an unknown kind waits for a worker of
// another release.
const unknownKindPause = 30 * time.Second

var errUnknownKind = errors.New("this release has no handler of this kind, so the task waits for a worker of another release")

// work runs one task. It counts and logs the run, and stores a task that failed
// for good or was cancelled in the archive.
func (w *RedisWorker) work(ctx context.Context, task taskqueue.Run) error {
	growStack()
	handler, known := w.handlers.Find(task.Kind)
	if !known {
		w.unknown.do(task.Kind, func() {
			w.log.WarnContext(ctx, "Task waits for a worker of another release, because this one has no handler of its kind",
				"kind", task.Kind, "id", task.ID)
		})
		return taskqueue.Snooze(spread(unknownKindPause), fmt.Errorf("%w: %s", errUnknownKind, task.Kind))
	}
	w.active.Add(1)
	defer w.active.Add(-1)
	w.inFlight.Inc()
	defer w.inFlight.Dec()
	record := runRecord{
		backend: Redis, queue: task.Queue, kind: task.Kind, id: task.ID, attempt: task.Retries + 1,
		started: time.Now(), waited: waitOfTask(task, time.Now()), routine: !handler.Durable || strings.HasPrefix(task.ID, RecurringPrefix),
	}
	run := Run{
		Backend: Redis, ID: task.ID, Kind: task.Kind, Queue: Queue(task.Queue), Attempt: record.attempt,
		EnqueuedAt: task.EnqueuedAt, ExpiresAt: task.ExpiresAt, Cause: Cause{Request: task.Request, Parent: task.Parent},
	}
	ctx = withRun(ctx, run)

	err := w.mask.Error(task.Kind, task.Args, w.performOrAbandon(ctx, handler, run, task))
	cancelled := errors.Is(err, taskqueue.ErrCancelled) || errors.Is(err, ErrExpired)
	record.final = cancelled || isPermanent(err)
	w.metrics.observe(ctx, w.log, record, err)
	if after, is := isSnooze(err); is {
		return taskqueue.Snooze(after, err)
	}
	if errors.Is(err, ErrExpired) && !handler.Durable {
		return nil // it is out of date, and nobody misses it
	}
	if err == nil || errors.Is(ctx.Err(), context.Canceled) {
		return err // asynq has already returned a task whose context it cancelled to its queue
	}
	if record.final {
		w.failed.InsertOrLog(ctx, w.log, taskqueue.FailedTask{
			ID: task.ID, Kind: task.Kind, Queue: task.Queue, Args: task.Args,
			Error: err.Error(), Attempts: record.attempt, Cancelled: cancelled, Request: task.Request, Parent: task.Parent,
		})
		return taskqueue.Archive(err)
	}
	return err
}

// waitOfTask is how long a task was due before its first attempt, with its snoozes. The
// wait of another attempt is unknown: Redis does not tell when it was due. When the
// clock of the process that enqueued the task is ahead, the wait is zero.
func waitOfTask(task taskqueue.Run, started time.Time) time.Duration {
	if task.Retries > 0 || task.DueAt.IsZero() {
		return unknownWait
	}
	return max(started.Sub(task.DueAt), 0)
}

// perform calls the handler of a task, and turns a panic into an error.
func (w *RedisWorker) perform(ctx context.Context, handler Handler, run Run, task taskqueue.Run) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			panicked := telemetry.Recovered(cause)
			panicked.Stack = w.mask.Text(task.Kind, task.Args, panicked.Stack)
			panicText := w.mask.Text(task.Kind, task.Args, fmt.Sprint(cause))
			w.log.ErrorContext(ctx, "Task panicked", "kind", handler.Kind, "id", task.ID, "panic", panicText, "stack", panicked.Stack)
			err = handler.judge(panicked, run.Attempt)
		}
	}()
	if err := w.pauses.hold(ctx, task); err != nil {
		return err
	}
	if run.expired() {
		return ErrExpired
	}
	// asynq runs a task again that was cancelled while it ran. A task that was
	// cancelled before its first run is not in a queue any more.
	if task.Retries > 0 {
		if cancelled, err := w.cancellations.Has(ctx, task.ID); err == nil && cancelled {
			return taskqueue.ErrCancelled
		}
	}
	if err := ctx.Err(); err != nil {
		return err // cancelled once more, before the handler began
	}
	if w.isLate(ctx, task) {
		return Snooze(spread(latePause), "the handler of the last attempt still runs")
	}
	return w.lock.run(ctx, handler.Declaration, taskWaiter(task), task.Args, func(ctx context.Context) error {
		return handler.Perform(ctx, run, task.Args)
	})
}

// backoff is the pause after a failed attempt, which counts from 1.
func (w *RedisWorker) backoff(kind string, attempt int, failure error) time.Duration {
	if handler, known := w.handlers.Find(kind); known {
		return handler.ruleFor(failure).Backoff(attempt)
	}
	return Patient(attempt)
}

// handleFailure reports tasks that panicked or failed for good, except when the
// database was unavailable or refused this worker: its probe reports that. It marks
// a task that was cancelled while it ran, so that perform does not run it again.
func (w *RedisWorker) handleFailure(ctx context.Context, failure taskqueue.Failure) {
	var panicked *telemetry.Panic
	expected := []error{taskqueue.ErrCancelled, ErrExpired}
	unexpected := failure.Archived && !postgres.Unusable(failure.Err) && !isOneOf(failure.Err, expected)
	switch {
	case errors.As(failure.Err, &panicked) || unexpected:
		w.reporter.Unexpected("task "+failure.Kind, failure.ID, failure.Err)
	case failure.Cancelled && !w.stopping.Load():
		w.markCancelled(ctx, failure.ID)
	}
}

func (w *RedisWorker) markCancelled(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := w.cancellations.Mark(ctx, id); err != nil {
		w.log.WarnContext(ctx, "Cancelled task was not marked and will run again", "id", id, "error", err)
	}
}
