package jobs

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/time/rate"
)

// CarrierKind is the kind of the jobs that carry durable tasks.
const CarrierKind = "carry_task"

// settled is the age from which a task in Redis survives a crash of it: with
// appendfsync everysec, what is older than two seconds is on its disk.
const settled = 5 * time.Second

// doneKept is how long Redis knows a durable task that is done. A carrier that
// asks for it later would run it again.
const doneKept = 10 * time.Minute

// carriersPerSecond bounds what carriers bring to a Redis that has come back.
const carriersPerSecond = 500

// EnqueueTx enqueues durable tasks in the transaction of the change that causes
// them. In the same transaction a job is inserted for each, its carrier, which
// sees to it that the task gets into Redis and is still there when Redis can
// lose it no more. Call deliver after the commit, and the tasks are in Redis at
// once; where that does not happen, the carriers bring them within seconds of
// Redis being there.
func (t *Tasks) EnqueueTx(ctx context.Context, tx pgx.Tx, tasks ...Args) (deliver func(context.Context), err error) {
	messages := make([]taskMessage, len(tasks))
	for i, task := range tasks {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an id for the task %s: %w", task.Declare().Kind, err)
		}
		messages[i] = message(task)
		messages[i].ID = cmp.Or(messages[i].ID, id.String())
		messages[i].KeptForDone = max(messages[i].KeptForDone, doneKept)
	}
	return t.carry(ctx, tx, messages...)
}

// Carriers are the handlers by which worker-pg brings durable tasks to Redis.
func (t *Tasks) Carriers() Handlers {
	pace := rate.NewLimiter(carriersPerSecond, carriersPerSecond/10)
	return Handlers{Handle(func(ctx context.Context, carrier carryTask) error {
		there, ok := t.knows(ctx, carrier.Task)
		switch {
		case !ok:
			return Later(settled, "Redis does not answer")
		case there:
			return nil
		}
		if err := pace.Wait(ctx); err != nil {
			return fmt.Errorf("wait for a turn at Redis: %w", err)
		}
		switch t.push(ctx, "Tasks.carry", carrier.Task) {
		case refused:
			return Later(settled, "Redis does not take the task")
		case duplicate:
			return nil // an equal task is there, with a carrier of its own
		}
		return Later(settled, "the task is in Redis, and may still be lost with it")
	})}
}

// Private

// carryTask is the job that carries a durable task through PostgreSQL.
type carryTask struct {
	Task taskMessage `json:"task"`
}

// Declare describes the job.
func (carryTask) Declare() Declaration {
	return Declaration{Kind: CarrierKind, Attempts: 1000, Backoff: Quick, Timeout: time.Minute}
}

// carry inserts the carriers of messages.
func (t *Tasks) carry(ctx context.Context, tx pgx.Tx, messages ...taskMessage) (deliver func(context.Context), err error) {
	carriers := make([]Args, len(messages))
	for i, m := range messages {
		carriers[i] = carryTask{m}
	}
	if err := t.jobs.EnqueueAt(ctx, tx, time.Now().Add(settled), carriers...); err != nil {
		return nil, err
	}
	return func(ctx context.Context) { t.pushAll(ctx, "Tasks.EnqueueTx", messages, "carried") }, nil
}

// knows tells whether Redis has the task, waiting, running or done; not ok when
// Redis does not say.
func (t *Tasks) knows(ctx context.Context, m taskMessage) (there, ok bool) {
	ok = t.guard.Do(ctx, "Tasks.knows", func(ctx context.Context) error {
		found, err := t.redis.Exists(ctx, "asynq:{"+string(m.Queue)+"}:t:"+m.ID).Result()
		there = found > 0
		return err
	})
	return there, ok
}
