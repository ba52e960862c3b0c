package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
)

// taskTimeout ends one run of a task; taskRetries is how often a failed one is
// run again. A task with no retry left would be lost with its worker.
const (
	taskTimeout = 30 * time.Second
	taskRetries = 3
)

// Task is what a task carries: ids, which it looks up when it runs.
type Task interface {
	Kind() string
}

// Tasks enqueues tasks.
type Tasks struct {
	guard   *failopen.Guard
	redis   *redis.Client // nil when the guard is disabled
	client  *asynq.Client
	metrics *Metrics
}

// NewTasks makes an enqueuer over the Redis at url, which guard watches.
func NewTasks(guard *failopen.Guard, url string, poolSize int, timeout time.Duration, metrics *Metrics) (*Tasks, error) {
	tasks := &Tasks{guard: guard, metrics: metrics}
	if guard.Disabled() {
		return tasks, nil
	}
	options, err := failopen.QuickOptions(url, poolSize, timeout)
	if err != nil {
		return nil, err
	}
	tasks.redis = redis.NewClient(options)
	tasks.client = asynq.NewClientFromRedisClient(tasks.redis)
	return tasks, nil
}

// Close ends the connections.
func (t *Tasks) Close() error {
	if t.redis == nil {
		return nil
	}
	if err := t.redis.Close(); err != nil {
		return fmt.Errorf("close the task queue: %w", err)
	}
	return nil
}

// Enqueue hands a transient task to worker-redis, and tells whether it could.
// While Redis is away the task is dropped: it is counted, and nothing fails.
func (t *Tasks) Enqueue(ctx context.Context, task Task) bool {
	payload, err := json.Marshal(task)
	if err != nil {
		panic(fmt.Sprintf("task %s cannot be JSON: %v", task.Kind(), err)) // a programming error
	}
	ok := t.guard.Do(ctx, "Tasks.Enqueue", func(ctx context.Context) error {
		_, err := t.client.EnqueueContext(ctx, asynq.NewTask(task.Kind(), payload), asynq.MaxRetry(taskRetries), asynq.Timeout(taskTimeout))
		return err
	})
	result := "ok"
	if !ok {
		result = "dropped"
	}
	t.metrics.enqueued.WithLabelValues(string(Redis), task.Kind(), result).Inc()
	return ok
}

// Handle registers what a kind of task does.
func Handle[T Task](handlers *asynq.ServeMux, work func(ctx context.Context, task T) error) {
	var kind T
	handlers.HandleFunc(kind.Kind(), func(ctx context.Context, message *asynq.Task) error {
		if message.Type() != kind.Kind() {
			// The library takes a kind for the beginning of others' names.
			return asynq.NotFound(ctx, message)
		}
		var task T
		if err := json.Unmarshal(message.Payload(), &task); err != nil {
			return errors.Join(fmt.Errorf("read task %s: %w", kind.Kind(), err), asynq.SkipRetry)
		}
		return work(ctx, task)
	})
}
