package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// RedisWorker works tasks.
type RedisWorker struct {
	redis    *redis.Client
	servers  []*asynq.Server
	handlers Handlers
	heart    *heart
	waiting  *waiting
	pipeline *autoPipeline
	sweeper  *sweeper
	failed   *failedTasks
	alone    *exclusive
	timeout  time.Duration
	log      *slog.Logger
	metrics  *Metrics
	reporter *telemetry.Reporter
	started  atomic.Bool
	stopping atomic.Bool
	inHand   atomic.Int64
}

// RedisWorkerOptions say how a worker works.
type RedisWorkerOptions struct {
	URL             string
	PoolSize        int
	Servers         int           // fetch side by side, at most Concurrency; a single one is limited by its round trips
	Concurrency     int           // tasks at the same time, over all servers
	CheckInterval   time.Duration // of an idle worker
	ShutdownTimeout time.Duration
	Version         string // of this build, for the table of processes
	Log             *slog.Logger
	Metrics         *Metrics
	Reporter        *telemetry.Reporter
}

// NewRedisWorker makes a worker of the kinds in handlers. The table of
// processes and of tasks that failed for good are in db.
func NewRedisWorker(db *pgxpool.Pool, handlers Handlers, options RedisWorkerOptions) (*RedisWorker, error) {
	options.Servers = min(options.Servers, options.Concurrency)
	redisOptions, err := failopen.PatientOptions(options.URL, max(options.PoolSize, options.Concurrency+5*options.Servers))
	if err != nil {
		return nil, err
	}
	w := &RedisWorker{
		redis: redis.NewClient(redisOptions), handlers: handlers, failed: &failedTasks{db}, alone: newExclusive(db),
		timeout: options.ShutdownTimeout, log: options.Log, metrics: options.Metrics, reporter: options.Reporter,
	}
	w.waiting = newWaiting(redisOptions)
	w.redis.AddHook(w.waiting)
	w.pipeline = newAutoPipeline(redisOptions)
	w.redis.AddHook(w.pipeline)
	w.heart = newHeart(db, Process{Backend: Redis, Version: options.Version, Concurrency: options.Concurrency}, func() int { return int(w.inHand.Load()) }, options.Log, options.Reporter)
	w.sweeper = newSweeper(w.redis, w.failed, options.Log, options.Reporter)
	for i := range options.Servers {
		check, housekeeping := options.CheckInterval, time.Second
		if i > 0 {
			check, housekeeping = max(check, lazyCheck), lazyHousekeeping
		}
		w.servers = append(w.servers, asynq.NewServerFromRedisClient(w.redis, asynq.Config{
			Concurrency:              (options.Concurrency + i) / options.Servers, // shares that add up
			Queues:                   taskWeights,
			TaskCheckInterval:        check,
			DelayedTaskCheckInterval: housekeeping,
			JanitorInterval:          8 * housekeeping,
			ShutdownTimeout:          options.ShutdownTimeout,
			IsFailure:                isFailure,
			RetryDelayFunc:           w.retryDelay,
			ErrorHandler:             asynq.ErrorHandlerFunc(w.handleError),
			Logger:                   asynqLog{options.Reporter},
			LogLevel:                 asynq.WarnLevel,
		}))
	}
	return w, nil
}

// Run works tasks until ctx ends, then finishes what it has in hand or hands
// it back. It waits for a Redis that is not there yet.
func (w *RedisWorker) Run(ctx context.Context) error {
	w.waiting.start()
	defer w.waiting.end()
	for _, server := range w.servers {
		if err := server.Start(asynq.HandlerFunc(w.process)); err != nil {
			return fmt.Errorf("start to work tasks: %w", err)
		}
	}
	w.started.Store(true)
	w.log.InfoContext(ctx, "Working tasks")

	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	heart := make(chan error, 1)
	go func() { heart <- w.heart.run(background) }()
	var sweeping sync.WaitGroup
	sweeping.Go(func() { w.sweeper.run(background) })
	defer sweeping.Wait()
	defer stopBackground()
	select {
	case err := <-heart:
		return err
	case <-ctx.Done():
	}

	w.heart.state.Store(Stopping)
	w.stopping.Store(true)
	w.waiting.end()
	w.log.Info("Stopping: no more tasks are taken, those in hand are finished", "within", w.timeout.String())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		var all sync.WaitGroup
		for _, server := range w.servers {
			all.Go(server.Shutdown)
		}
		all.Wait()
	}()
	err := w.awaitStop(stopped)
	stopBackground()
	return errors.Join(err, <-heart)
}

// Quiet takes no more tasks and finishes those in hand. There is no way back
// but a new process.
func (w *RedisWorker) Quiet(ctx context.Context) {
	w.heart.state.Store(Quiet)
	w.log.InfoContext(ctx, "Quiet: no more tasks are taken")
	w.waiting.end()
	for _, server := range w.servers {
		server.Stop()
	}
}

// Started tells whether the worker has begun to ask for tasks.
func (w *RedisWorker) Started() bool { return w.started.Load() }

// Private

// taskWeights are how often a queue is asked first. All queues share the
// workers: unlike jobs, tasks are quick.
var taskWeights = map[string]int{string(Critical): 6, string(Default): 3, string(Low): 1}

// How often the servers but the first look for tasks while there are none, and
// for those that have become due: one is enough to notice, and looking costs.
const (
	lazyCheck        = 100 * time.Millisecond
	lazyHousekeeping = time.Minute
)

// goodbye is how long a worker with nothing in hand waits for asynq to sign off
// from Redis. asynq itself would try for as long as its client does, which is
// long when Redis is away.
const goodbye = 2 * time.Second

// awaitStop waits until asynq has stopped, or until there is nothing left to
// wait for. The connections close only behind an asynq that has stopped: one
// that still uses them would panic.
func (w *RedisWorker) awaitStop(stopped <-chan struct{}) error {
	deadline := time.After(w.timeout + stopGrace)
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for idleSince := time.Now(); ; {
		select {
		case <-stopped:
			if w.inHand.Load() > 0 {
				w.log.Error("Tasks did not heed the end of their context and were handed back as they are", "tasks", w.inHand.Load(), "within", w.timeout.String())
			}
			w.pipeline.end()
			if err := w.redis.Close(); err != nil {
				return fmt.Errorf("close Redis: %w", err)
			}
			return nil
		case <-deadline:
			return fmt.Errorf("stop: %d tasks in hand did not end within %s; their leases run out and others take them", w.inHand.Load(), w.timeout+stopGrace)
		case now := <-look.C:
			if w.inHand.Load() > 0 {
				idleSince = now
			}
			if now.Sub(idleSince) > goodbye {
				w.log.Warn("Redis does not answer: stopping without signing off from it")
				return nil
			}
		}
	}
}

// What a run can end with besides an error of its own.
var (
	errUnknownKind = errors.New("no worker of this release knows this kind: it waits for one that does")
	errCancelled   = errors.New("cancelled")
)

// givenUp is the error of a task that is not run again.
type givenUp struct{ cause error }

func giveUp(err error) error {
	var already *givenUp
	if errors.As(err, &already) {
		return err
	}
	return &givenUp{err}
}

func (g *givenUp) Error() string   { return g.cause.Error() }
func (g *givenUp) Unwrap() []error { return []error{g.cause, asynq.SkipRetry} }

// isFailure tells what uses up an attempt. A lease that ran out says that a
// worker died, an unknown kind that this worker is of another release.
func isFailure(err error) bool {
	if _, is := isLater(err); is {
		return false
	}
	return !errors.Is(err, asynq.ErrLeaseExpired) && !errors.Is(err, errUnknownKind)
}

// parked is how long a task of an unknown kind waits before it is looked at
// again.
const parked = 30 * time.Second

func (w *RedisWorker) retryDelay(retries int, err error, task *asynq.Task) time.Duration {
	if pause, is := isLater(err); is {
		return pause
	}
	switch {
	case errors.Is(err, asynq.ErrLeaseExpired), errors.Is(err, context.Canceled):
		return 0
	case errors.Is(err, errUnknownKind):
		return spread(parked)
	}
	if handler, known := w.handlers.Find(task.Type()); known {
		return handler.Backoff(retries + 1)
	}
	return Patient(retries + 1)
}

// process runs one task: it ends its attempts, logs and counts them, and turns
// a panic into a failure.
func (w *RedisWorker) process(ctx context.Context, task *asynq.Task) error {
	handler, known := w.handlers.Find(task.Type())
	if !known {
		return fmt.Errorf("%w: %s", errUnknownKind, task.Type())
	}
	w.inHand.Add(1)
	defer w.inHand.Add(-1)
	id, _ := asynq.GetTaskID(ctx)
	queue, _ := asynq.GetQueueName(ctx)
	retries, _ := asynq.GetRetryCount(ctx)
	run := work{backend: Redis, queue: queue, kind: task.Type(), id: id, attempt: retries + 1, started: time.Now(), routine: !handler.Durable || strings.HasPrefix(id, ByTheClock)}

	err := w.perform(ctx, handler, id, retries, task.Payload())
	w.metrics.finish(ctx, w.log, run, err)
	// Where asynq has ended the context, it has put the task back already.
	if _, later := isLater(err); err == nil || later || errors.Is(ctx.Err(), context.Canceled) {
		return err
	}
	cancelled := errors.Is(err, errCancelled)
	if run.attempt >= handler.Attempts || cancelled || errors.Is(err, asynq.SkipRetry) {
		w.failed.add(ctx, w.log, failedTask{ID: id, Kind: task.Type(), Queue: queue, Args: task.Payload(), Error: telemetry.Scrub(err.Error()), Attempts: run.attempt, Cancelled: cancelled})
		return giveUp(err)
	}
	return err
}

func (w *RedisWorker) perform(ctx context.Context, handler Handler, id string, retries int, payload []byte) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			panicked := telemetry.Recovered(cause)
			w.log.ErrorContext(ctx, "Task panicked", "kind", handler.Kind, "id", id, "panic", fmt.Sprint(cause), "stack", panicked.Stack)
			err = panicked
		}
	}()
	// Only what has been run before can have been cancelled while it ran.
	if retries > 0 {
		if cancelled, err := isCancelled(ctx, w.redis, id); err == nil && cancelled {
			return errCancelled
		}
	}
	// asynq's own deadline comes a little later, so that a handler that heeds this
	// one ends its attempt here.
	ctx, cancel := context.WithTimeout(ctx, handler.Timeout)
	defer cancel()
	return w.alone.run(ctx, handler.Declaration, payload, func(ctx context.Context) error { return handler.work(ctx, payload) })
}

// handleError tells people of tasks that panicked or failed for good. A database
// that was away for all tries is no news: the probe tells of that.
func (w *RedisWorker) handleError(ctx context.Context, task *asynq.Task, err error) {
	id, _ := asynq.GetTaskID(ctx)
	var panicked *telemetry.Panic
	isNews := errors.Is(err, asynq.SkipRetry) && !postgres.Unavailable(err) && !errors.Is(err, errCancelled)
	switch {
	case errors.As(err, &panicked) || isNews:
		var last *givenUp
		if errors.As(err, &last) {
			err = last.cause
		}
		w.reporter.Unexpected("task "+task.Type(), id, err)
	case errors.Is(err, context.Canceled) && ctx.Err() != nil && !w.stopping.Load():
		w.markCancelled(ctx, id)
	}
}

// markCancelled remembers a task that was cancelled while it ran: asynq takes
// that for a failure and runs it again, which process then refuses.
func (w *RedisWorker) markCancelled(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := w.redis.Set(ctx, cancelledKey(id), 1, cancelledKept).Err(); err != nil {
		w.log.WarnContext(ctx, "Cancelled task was not marked and will run again", "id", id, "error", err)
	}
}

func cancelledKey(id string) string { return "slipway:cancelled:" + id }

func isCancelled(ctx context.Context, client *redis.Client, id string) (bool, error) {
	marks, err := client.Exists(ctx, cancelledKey(id)).Result()
	return marks > 0, err
}

// asynqLog sends what asynq would print to the reporter.
type asynqLog struct{ reporter *telemetry.Reporter }

func (l asynqLog) Debug(...any)     {}
func (l asynqLog) Info(...any)      {}
func (l asynqLog) Warn(args ...any) { l.reporter.Report("Redis", "asynq.Server", toError(args)) }
func (l asynqLog) Error(args ...any) {
	l.reporter.Report("Redis", "asynq.Server", toError(args))
}

// Fatal must not end the program: asynq calls it where it would only log.
func (l asynqLog) Fatal(args ...any) {
	l.reporter.Report("Redis", "asynq.Server", toError(args))
}

func toError(args []any) error {
	return errors.New(fmt.Sprint(args...))
}
