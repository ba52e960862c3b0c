package jobs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"slipway/internal/failopen"
)

// Tasks enqueues tasks.
type Tasks struct {
	guard    *failopen.Guard
	jobs     *Jobs         // carries durable tasks
	redis    *redis.Client // nil when the guard is disabled
	single   *asynq.Client
	bulk     *asynq.Client
	bulked   *redis.Client // of bulk
	pipeline *autoPipeline // of bulk
	metrics  *Metrics
}

// NewTasks makes an enqueuer over the Redis that guard watches. Jobs carries
// durable tasks.
func NewTasks(guard *failopen.Guard, jobs *Jobs, metrics *Metrics) (*Tasks, error) {
	tasks := &Tasks{guard: guard, jobs: jobs, metrics: metrics}
	if guard.Disabled() {
		return tasks, nil
	}
	options, err := failopen.QuickOptions(guard.Options())
	if err != nil {
		return nil, err
	}
	tasks.redis = redis.NewClient(options)
	tasks.single = asynq.NewClientFromRedisClient(tasks.redis)
	tasks.pipeline = newAutoPipeline(options)
	tasks.bulked = redis.NewClient(options)
	tasks.bulked.AddHook(tasks.pipeline)
	tasks.bulk = asynq.NewClientFromRedisClient(tasks.bulked)
	return tasks, nil
}

// Close ends the connections.
func (t *Tasks) Close() error {
	if t.redis == nil {
		return nil
	}
	t.pipeline.end()
	if err := errors.Join(t.redis.Close(), t.bulked.Close()); err != nil {
		return fmt.Errorf("close the task queue: %w", err)
	}
	return nil
}

// Enqueue hands transient tasks to worker-redis, and tells whether it could
// with all of them. While Redis is away they are dropped: that is counted and
// reported once a minute, and nothing fails. Durable tasks go through EnqueueTx.
func (t *Tasks) Enqueue(ctx context.Context, tasks ...Args) bool {
	messages := make([]taskMessage, len(tasks))
	for i, task := range tasks {
		if task.Declare().Durable {
			panic(fmt.Sprintf("task %s is durable: enqueue it with EnqueueTx", task.Declare().Kind)) // a programming error
		}
		messages[i] = message(task)
	}
	return t.pushAll(ctx, "Tasks.Enqueue", messages, dropped)
}

// Inspector looks at the tasks in Redis; nil when there is no Redis.
func (t *Tasks) Inspector() *asynq.Inspector {
	if t.redis == nil {
		return nil
	}
	return asynq.NewInspectorFromRedisClient(t.redis)
}

// MarkCancelled keeps a task from being run again.
func (t *Tasks) MarkCancelled(ctx context.Context, id string) error {
	if err := t.redis.Set(ctx, cancelledKey(id), 1, cancelledKept).Err(); err != nil {
		return fmt.Errorf("mark the task %s as cancelled: %w", id, err)
	}
	return nil
}

// UnmarkCancelled lets a task run again.
func (t *Tasks) UnmarkCancelled(ctx context.Context, id string) error {
	if err := t.redis.Del(ctx, cancelledKey(id)).Err(); err != nil {
		return fmt.Errorf("unmark the cancelled task %s: %w", id, err)
	}
	return nil
}

// Again enqueues a task that is on the list of failed ones, with the id and the
// args that it had.
func (t *Tasks) Again(ctx context.Context, db *pgxpool.Pool, id string) error {
	var m taskMessage
	var attempts int
	if err := db.QueryRow(ctx, `SELECT id, kind, queue, args, attempts FROM failed_tasks WHERE id = $1`, id).Scan(&m.ID, &m.Kind, &m.Queue, &m.Args, &attempts); err != nil {
		return fmt.Errorf("read the failed task %s: %w", id, err)
	}
	m.Attempts, m.Timeout, m.KeptForDone = max(attempts, 1), defaultTimeout, doneKept
	if t.push(ctx, "Tasks.Again", m) == refused {
		return fmt.Errorf("enqueue the task %s again: Redis does not take it", id)
	}
	return nil
}

// Private

// cancelledKept is how long a cancelled task is remembered.
const cancelledKept = 24 * time.Hour

// taskMessage is a task as it is stored, in Redis and by its carrier.
type taskMessage struct {
	ID          string          `json:"id,omitempty"` // empty: Redis gives it one
	Kind        string          `json:"kind"`
	Args        json.RawMessage `json:"args"`
	Queue       Queue           `json:"queue"`
	Attempts    int             `json:"attempts"`
	Timeout     time.Duration   `json:"timeout"`
	UniqueFor   time.Duration   `json:"unique_for,omitempty"`
	KeptForDone time.Duration   `json:"kept_for_done,omitempty"` // how long its id is known when it is done
}

// message is a task by its declaration.
func message(task Args) taskMessage {
	declaration := task.Declare().withDefaults()
	args, err := json.Marshal(task)
	if err != nil {
		panic(fmt.Sprintf("task %s cannot be JSON: %v", declaration.Kind, err)) // a programming error
	}
	return messageOf(declaration, args)
}

func messageOf(declaration Declaration, args json.RawMessage) taskMessage {
	m := taskMessage{Kind: declaration.Kind, Args: args, Queue: declaration.Queue, Attempts: declaration.Attempts, Timeout: declaration.Timeout}
	switch unique := declaration.Unique; {
	case unique.Within > 0:
		// asynq's own lock ends with the task; an id is known for as long as it is kept.
		period := time.Now().Truncate(unique.Within)
		m.ID = fmt.Sprintf("%s:%d:%x", m.Kind, period.Unix(), sha256.Sum256(args))
		m.KeptForDone = unique.Within
	case unique.Waiting:
		m.UniqueFor = 24 * time.Hour // the lock goes with the task; this bounds one that was lost
	}
	return m
}

// What becomes of a task that is brought to Redis.
const (
	brought   = "ok" // also when it was there already
	duplicate = "duplicate"
	refused   = "refused"
	dropped   = "dropped" // refused, and nobody tries again
)

// pushedAtOnce is how many tasks one call of the guard brings at most: so many
// fit into its time many times over.
const pushedAtOnce = pipelinedAtOnce

// pushAll brings tasks to Redis, counts what becomes of each, with otherwise for
// those that Redis did not take, and tells whether all are there.
func (t *Tasks) pushAll(ctx context.Context, source string, messages []taskMessage, otherwise string) bool {
	all := true
	for part := range slices.Chunk(messages, pushedAtOnce) {
		for i, outcome := range t.pushPart(ctx, source, part) {
			if outcome == refused {
				outcome, all = otherwise, false
				if otherwise == dropped {
					t.guard.Dropped(part[i].Kind)
				}
			}
			t.metrics.enqueued.WithLabelValues(string(Redis), part[i].Kind, outcome).Inc()
		}
	}
	return all
}

// push brings a task to Redis.
func (t *Tasks) push(ctx context.Context, source string, m taskMessage) (outcome string) {
	return t.pushPart(ctx, source, []taskMessage{m})[0]
}

// pushPart brings tasks to Redis within one call of the guard.
func (t *Tasks) pushPart(ctx context.Context, source string, part []taskMessage) (outcomes []string) {
	outcomes = slices.Repeat([]string{refused}, len(part))
	t.guard.Do(ctx, source, func(ctx context.Context) (err error) {
		if len(part) == 1 {
			outcomes[0], err = bring(ctx, t.single, part[0])
			return err
		}
		group, ctx := errgroup.WithContext(ctx) // the first failure ends the rest
		for i, m := range part {
			group.Go(func() (err error) {
				outcomes[i], err = bring(ctx, t.bulk, m)
				return err
			})
		}
		return group.Wait()
	})
	return outcomes
}

func bring(ctx context.Context, client *asynq.Client, m taskMessage) (outcome string, err error) {
	// A worker that dies must find an attempt left, or its task would be given
	// up: what ends the attempts is the worker's own count.
	options := []asynq.Option{asynq.Queue(string(m.Queue)), asynq.MaxRetry(m.Attempts), asynq.Timeout(m.Timeout + 5*time.Second)}
	if m.ID != "" {
		options = append(options, asynq.TaskID(m.ID))
	}
	if m.UniqueFor > 0 {
		options = append(options, asynq.Unique(m.UniqueFor))
	}
	if m.KeptForDone > 0 {
		options = append(options, asynq.Retention(m.KeptForDone))
	}
	_, err = client.EnqueueContext(ctx, asynq.NewTask(m.Kind, canonical(m.Args)), options...)
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return brought, nil
	case errors.Is(err, asynq.ErrDuplicateTask):
		return duplicate, nil
	case err != nil:
		return refused, err
	}
	return brought, nil
}

// canonical writes args the same way whether they come from Go or have been
// through PostgreSQL, which moves spaces and keys: asynq knows equal tasks by
// their bytes.
func canonical(args json.RawMessage) []byte {
	decoder := json.NewDecoder(bytes.NewReader(args))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return args
	}
	written, err := json.Marshal(value)
	if err != nil {
		return args
	}
	return written
}
