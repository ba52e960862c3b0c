package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"
)

// ByTheClock begins the names of runs that a schedule asked for.
const ByTheClock = "recurring:"

// EnqueueRun inserts a job of a kind with args that are JSON already. Run names
// it, so that it can be found again.
func (j *Jobs) EnqueueRun(ctx context.Context, tx pgx.Tx, handler Handler, queue Queue, args json.RawMessage, run string) error {
	metadata, err := json.Marshal(map[string]string{runKey: run})
	if err != nil {
		return fmt.Errorf("name the run %s: %w", run, err)
	}
	insert := river.InsertManyParams{
		Args:       insertedArgs{rawArgs(args), handler.Kind},
		InsertOpts: &river.InsertOpts{Queue: string(queue), MaxAttempts: handler.Attempts, Metadata: metadata},
	}
	return j.insert(ctx, tx, insert)
}

// RunUnfinished tells whether the job of a run waits or runs.
func (j *Jobs) RunUnfinished(ctx context.Context, tx pgx.Tx, run string) (bool, error) {
	var unfinished bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM river_job
			WHERE metadata @> jsonb_build_object('`+runKey+`', $1::text) AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		)`, run).Scan(&unfinished)
	if err != nil {
		return false, fmt.Errorf("look for the run %s: %w", run, err)
	}
	return unfinished, nil
}

// EnqueueRun inserts a task as EnqueueTx does, with run as its id. It is carried
// also where its kind is transient.
func (t *Tasks) EnqueueRun(ctx context.Context, tx pgx.Tx, handler Handler, queue Queue, args json.RawMessage, run string) (deliver func(context.Context), err error) {
	m := messageOf(handler.Declaration, args)
	m.ID, m.Queue, m.KeptForDone = run, queue, doneKept
	return t.carry(ctx, tx, m)
}

// RunUnfinished tells whether the task of a run is still with its carrier, or
// waits or runs. Where Redis does not say, only the carrier counts: one run too
// many is better than none for as long as Redis is away.
func (t *Tasks) RunUnfinished(ctx context.Context, tx pgx.Tx, queue Queue, run string) (bool, error) {
	var carried bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM river_job
			WHERE kind = $1 AND args->'task'->>'id' = $2 AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		)`, carryTask{}.Declare().Kind, run).Scan(&carried)
	if err != nil {
		return false, fmt.Errorf("look for the carrier of %s: %w", run, err)
	}
	state := ""
	if !t.guard.Disabled() {
		t.guard.Do(ctx, "Tasks.RunUnfinished", func(ctx context.Context) error {
			found, err := t.redis.HGet(ctx, "asynq:{"+string(queue)+"}:t:"+run, "state").Result()
			if errors.Is(err, redis.Nil) {
				return nil
			}
			state = found
			return err
		})
	}
	switch state {
	case "":
		return carried, nil // not in Redis yet, done long ago, or nobody knows
	case asynq.TaskStateCompleted.String(), asynq.TaskStateArchived.String():
		return false, nil
	}
	return true, nil
}

// Private

// runKey is where a job's metadata names the run that it is.
const runKey = "slipway:run"

// clockRun is in the metadata of a run by the clock, as PostgreSQL writes JSON.
var clockRun = []byte(`"` + runKey + `": "` + ByTheClock)

// rawArgs are args that are JSON already.
type rawArgs json.RawMessage

func (r rawArgs) MarshalJSON() ([]byte, error) { return r, nil }
func (rawArgs) Declare() Declaration           { return Declaration{} }
