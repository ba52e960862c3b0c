package taskqueue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// Servers are asynq servers that fetch tasks side by side. One server alone is
// limited by the time of its round trips.
type Servers struct {
	options     ServersOptions
	namespace   namespace
	queues      []Queue // without the namespace
	redis       *redis.Client
	subscribing *redis.Client // only for subscriptions
	all         []*asynq.Server
	longPoll    *longPoll
	pipeline    *failopen.AutoPipeline
	running     *running
}

// ServersOptions describe how servers work. All fields but Namespace and PoolSize
// are needed.
type ServersOptions struct {
	URL             string // of Redis
	Namespace       string // begins the names of queues and keys, see failopen.Options
	PoolSize        int    // connections at least; default: as many as Concurrency and Servers need
	Servers         int    // at most Concurrency
	Concurrency     int    // tasks at the same time, over all servers
	CheckInterval   time.Duration
	ShutdownTimeout time.Duration

	// Work runs a task. It returns nil, or Snooze, or Archive, or an error that
	// uses up an attempt.
	Work func(ctx context.Context, run Run) error
	// Backoff is the pause after a failed attempt, which counts from 1.
	Backoff func(kind string, attempt int, failure error) time.Duration
	// Failed is called after each run that ended with an error.
	Failed func(ctx context.Context, failure Failure)

	Reporter *telemetry.Reporter
}

// NewServers returns servers of the queues. It does not wait for a connection to
// Redis.
func NewServers(queues []Queue, options ServersOptions) (*Servers, error) {
	options.Servers = min(options.Servers, options.Concurrency)
	redisOptions, err := failopen.PatientOptions(options.URL, max(options.PoolSize, options.Concurrency+5*options.Servers))
	if err != nil {
		return nil, err
	}
	subscriberOptions, err := failopen.SubscriberOptions(options.URL)
	if err != nil {
		return nil, err
	}
	n := namespace(options.Namespace)
	s := &Servers{
		options: options, namespace: n, queues: queues,
		redis: redis.NewClient(redisOptions), subscribing: redis.NewClient(subscriberOptions),
		longPoll: newLongPoll(redisOptions, in(n, queues)), pipeline: failopen.NewAutoPipeline(redisOptions, isNoAnswer),
	}
	s.running = newRunning(s.redis, n)
	s.redis.AddHook(s.longPoll)
	s.redis.AddHook(s.pipeline)
	for i := range options.Servers {
		s.all = append(s.all, asynq.NewServerFromRedisClient(&subscriber{Client: s.redis, subscribing: s.subscribing, namespace: n}, s.config(i)))
	}
	return s, nil
}

// Start starts to run tasks and returns. While Redis is unavailable, the servers
// try again.
func (s *Servers) Start() error {
	s.longPoll.start()
	s.running.start()
	for _, server := range s.all {
		if err := server.Start(asynq.HandlerFunc(s.work)); err != nil {
			return fmt.Errorf("start to run tasks: %w", err)
		}
	}
	return nil
}

// Stop takes no more tasks. The running ones finish.
func (s *Servers) Stop() {
	s.StopLongPoll()
	for _, server := range s.all {
		server.Stop()
	}
}

// StopLongPoll lets requests for tasks return at once. A second call does
// nothing.
func (s *Servers) StopLongPoll() { s.longPoll.stop() }

// Shutdown takes no more tasks and returns when the running ones have finished,
// or when those that did not finish in time are back in their queues.
func (s *Servers) Shutdown() {
	var all sync.WaitGroup
	for _, server := range s.all {
		all.Go(server.Shutdown)
	}
	all.Wait()
}

// Close ends the connections. Call it only after Shutdown has returned: asynq
// panics when it uses a closed connection.
func (s *Servers) Close() error {
	s.pipeline.Stop()
	s.running.stop()
	if err := errors.Join(s.redis.Close(), s.subscribing.Close()); err != nil {
		return fmt.Errorf("close the connections to Redis: %w", err)
	}
	return nil
}

// Cancellations returns the marks on cancelled tasks.
func (s *Servers) Cancellations() *Cancellations { return &Cancellations{s.redis, s.namespace} }

// LateRuns returns the marks on tasks whose handlers still run.
func (s *Servers) LateRuns() *LateRuns { return &LateRuns{s.redis, s.namespace} }

// Waker returns what wakes waiting tasks.
func (s *Servers) Waker() *Waker { return &Waker{s.redis, s.namespace} }

// PausedTasks returns the tasks of paused kinds.
func (s *Servers) PausedTasks() *PausedTasks { return &PausedTasks{s.redis, s.namespace} }

// Private

// The servers except the first check for tasks and for due tasks less often: one
// server is enough to notice them, and each check costs a command.
const (
	lazyCheck        = 100 * time.Millisecond
	lazyHousekeeping = time.Minute
)

// config is the configuration of the server with an index.
func (s *Servers) config(index int) asynq.Config {
	check, housekeeping := s.options.CheckInterval, time.Second
	if index > 0 {
		check, housekeeping = max(check, lazyCheck), lazyHousekeeping
	}
	return asynq.Config{
		Concurrency:              (s.options.Concurrency + index) / s.options.Servers, // the shares add up to Concurrency
		Queues:                   weightsOf(in(s.namespace, s.queues)),
		TaskCheckInterval:        check,
		DelayedTaskCheckInterval: housekeeping,
		JanitorInterval:          8 * housekeeping,
		ShutdownTimeout:          s.options.ShutdownTimeout,
		IsFailure:                isFailure,
		RetryDelayFunc:           s.retryDelay,
		ErrorHandler:             asynq.ErrorHandlerFunc(s.handleError),
		Logger:                   asynqLog{s.options.Reporter},
		LogLevel:                 asynq.WarnLevel,
	}
}

func (s *Servers) work(ctx context.Context, task *asynq.Task) error {
	run := runOf(ctx, s.namespace, task)
	s.running.add(run.ID)
	defer s.running.remove(run.ID)
	err := s.options.Work(ctx, run)
	if err == nil || isArchived(err) {
		s.release(context.WithoutCancel(ctx), run)
	}
	if ctx.Err() == nil && errors.Is(err, context.Canceled) {
		return &uncancelled{err}
	}
	return err
}

func (s *Servers) handleError(ctx context.Context, task *asynq.Task, err error) {
	s.options.Failed(ctx, failureOf(ctx, s.namespace, task, err))
}

// isFailure reports whether a run uses up an attempt.
func isFailure(err error) bool {
	switch endingOf(err) {
	case endedSnoozed, endedLeaseLost:
		return false
	}
	return true
}

func (s *Servers) retryDelay(retries int, err error, task *asynq.Task) time.Duration {
	switch endingOf(err) {
	case endedSnoozed:
		return snoozeOf(err)
	case endedLeaseLost, endedCancelled:
		return 0
	}
	return s.options.Backoff(task.Type(), retries+1, err)
}
