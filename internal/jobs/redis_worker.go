package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// RedisWorker works tasks.
type RedisWorker struct {
	redis    *redis.Client
	server   *asynq.Server
	handlers *asynq.ServeMux
	timeout  time.Duration
	log      *slog.Logger
	started  atomic.Bool
	inHand   atomic.Int64
}

// RedisWorkerOptions say how a worker works.
type RedisWorkerOptions struct {
	URL             string
	PoolSize        int
	Concurrency     int
	CheckInterval   time.Duration // of an idle worker
	ShutdownTimeout time.Duration
	Log             *slog.Logger
	Metrics         *Metrics
	Reporter        *telemetry.Reporter
}

// NewRedisWorker makes a worker of the kinds in handlers.
func NewRedisWorker(handlers *asynq.ServeMux, options RedisWorkerOptions) (*RedisWorker, error) {
	redisOptions, err := failopen.PatientOptions(options.URL, max(options.PoolSize, options.Concurrency+5))
	if err != nil {
		return nil, err
	}
	w := &RedisWorker{redis: redis.NewClient(redisOptions), handlers: handlers, timeout: options.ShutdownTimeout, log: options.Log}
	w.handlers.Use(w.observe(options.Metrics))
	w.server = asynq.NewServerFromRedisClient(w.redis, asynq.Config{
		Concurrency:              options.Concurrency,
		TaskCheckInterval:        options.CheckInterval,
		DelayedTaskCheckInterval: time.Second,
		ShutdownTimeout:          options.ShutdownTimeout,
		// A lease that ran out says that Redis or a worker was away, not that the
		// task failed.
		IsFailure:      func(err error) bool { return !errors.Is(err, asynq.ErrLeaseExpired) },
		RetryDelayFunc: retryDelay,
		Logger:         asynqLog{options.Reporter},
		LogLevel:       asynq.WarnLevel,
	})
	return w, nil
}

// Run works tasks until ctx ends, then finishes what it has in hand or hands
// it back. It waits for a Redis that is not there yet.
func (w *RedisWorker) Run(ctx context.Context) error {
	if err := w.server.Start(w.handlers); err != nil {
		return fmt.Errorf("start to work tasks: %w", err)
	}
	w.started.Store(true)
	w.log.InfoContext(ctx, "Working tasks")

	<-ctx.Done()
	w.log.Info("Stopping: no more tasks are taken, those in hand are finished", "within", w.timeout.String())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		w.server.Shutdown()
	}()
	return w.awaitStop(stopped)
}

// Started tells whether the worker has begun to ask for tasks.
func (w *RedisWorker) Started() bool { return w.started.Load() }

// Private

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
			if err := w.redis.Close(); err != nil {
				return fmt.Errorf("close Redis: %w", err)
			}
			return nil
		case <-deadline:
			return fmt.Errorf("stop: %d tasks in hand did not end within %s", w.inHand.Load(), w.timeout+stopGrace)
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

// retryDelay is short: what a task is about is soon out of date. Retries are
// those that were before.
func retryDelay(retries int, err error, _ *asynq.Task) time.Duration {
	if errors.Is(err, asynq.ErrLeaseExpired) {
		return 0
	}
	return time.Second<<min(retries, 6) + rand.N(time.Second)
}

// observe logs and counts every run of a task, and turns a panic into a failure
// with its stack in the log.
func (w *RedisWorker) observe(metrics *Metrics) asynq.MiddlewareFunc {
	return func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) (err error) {
			w.inHand.Add(1)
			defer w.inHand.Add(-1)
			id, _ := asynq.GetTaskID(ctx)
			queue, _ := asynq.GetQueueName(ctx)
			retries, _ := asynq.GetRetryCount(ctx)
			run := work{backend: Redis, queue: queue, kind: task.Type(), id: id, attempt: retries + 1, started: time.Now()}
			defer func() {
				if cause := recover(); cause != nil {
					w.log.ErrorContext(ctx, "Task panicked", "kind", task.Type(), "id", id, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))
					err = fmt.Errorf("panic: %v", cause)
				}
				metrics.finish(ctx, w.log, run, err)
			}()
			return next.ProcessTask(ctx, task)
		})
	}
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
