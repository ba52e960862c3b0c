package jobs

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"slipway/internal/jobs/taskqueue"
)

// RecurringPrefix begins the names of recurring runs.
const RecurringPrefix = "recurring:"

// EnqueueRun inserts a job with args in JSON, named run. RunUnfinished finds it by
// that name.
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

// RunUnfinished reports whether the job of a run waits or runs.
func (j *Jobs) RunUnfinished(ctx context.Context, tx pgx.Tx, run string) (bool, error) {
	var unfinished bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM river_job
			WHERE metadata @> jsonb_build_object('`+runKey+`', $1::text) AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		)`, run).Scan(&unfinished)
	if err != nil {
		return false, fmt.Errorf("find the run %s: %w", run, err)
	}
	return unfinished, nil
}

// EnqueueRun inserts a task with args in JSON and run as its id, as EnqueueTx
// does. The task passes through the outbox even when its kind is transient.
func (t *Tasks) EnqueueRun(
	ctx context.Context, tx pgx.Tx, handler Handler, queue Queue, args json.RawMessage, run string,
) (deliver func(context.Context), err error) {
	m := messageOf(handler.Declaration, args)
	m.ID, m.Queue, m.Retention = run, string(queue), taskqueue.DoneRetention
	return t.insertOutbox(ctx, tx, m)
}

// RunUnfinished reports whether the task of a run is in the outbox, waits or
// runs. When Redis does not reply, only the outbox counts: one run too many is
// better than none while Redis is unavailable.
func (t *Tasks) RunUnfinished(ctx context.Context, tx pgx.Tx, queue Queue, run string) (bool, error) {
	var inOutbox bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM river_job
			WHERE kind = $1 AND args->'task'->>'id' = $2 AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')
		)`, OutboxKind, run).Scan(&inOutbox)
	if err != nil {
		return false, fmt.Errorf("find the outbox job of %s: %w", run, err)
	}
	switch t.client.State(ctx, "Tasks.RunUnfinished", string(queue), run) {
	case "":
		return inOutbox, nil // Redis does not have the task, or does not reply
	case taskqueue.Completed, taskqueue.Archived:
		return false, nil
	}
	return true, nil
}

// Private

// runKey is the name under which the metadata of a job hold its run.
const runKey = "slipway:run"

// recurringRun is in the metadata of recurring runs, in PostgreSQL's spelling of
// JSON.
var recurringRun = []byte(`"` + runKey + `": "` + RecurringPrefix)

// rawArgs are args that are JSON already.
type rawArgs json.RawMessage

func (r rawArgs) MarshalJSON() ([]byte, error) { return r, nil }
func (rawArgs) Declare() Declaration           { return Declaration{} }
