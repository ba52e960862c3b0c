package jobs

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs/taskqueue"
)

// RecurringPrefix begins the names of recurring runs.
const RecurringPrefix = "recurring:"

// NamedRun is work that is enqueued once under a name.
type NamedRun struct {
	Name    string // RunUnfinished finds the run by it
	Handler Handler
	Queue   Queue
	Args    json.RawMessage
	At      time.Time // it does not run earlier; zero: after the delay of its kind, if that has one
}

// EnqueueRun inserts the job of a run. It reports false when the job is unique and an
// equal one exists.
func (j *Jobs) EnqueueRun(ctx context.Context, tx pgx.Tx, run NamedRun) (enqueued bool, err error) {
	if err := checkSize(run.Handler.Kind, run.Args); err != nil {
		return false, err
	}
	declaration := run.Handler.Declaration
	declaration.Queue = run.Queue
	inserted, err := j.insertAll(ctx, tx, []insert{newInsert(declaration, run.Args, run.At, metadata{Run: run.Name})})
	return inserted == 1, err
}

// RunUnfinished reports whether the job of a run waits or runs. One that failed and
// waits for its next attempt does not count: it may wait for days.
func (j *Jobs) RunUnfinished(ctx context.Context, tx pgx.Tx, run string) (bool, error) {
	var unfinished bool
	err := tx.QueryRow(ctx, `
		SELECT EXISTS (
			SELECT FROM river_job
			WHERE metadata @> jsonb_build_object('`+RunKey+`', $1::text) AND state IN ('available', 'pending', 'running', 'scheduled')
		)`, run).Scan(&unfinished)
	if err != nil {
		return false, fmt.Errorf("find the run %s: %w", run, err)
	}
	return unfinished, nil
}

// EnqueueRun inserts the task of a run, with the name as its id, as EnqueueTx does. The
// task passes through the outbox even when its kind is transient.
func (t *Tasks) EnqueueRun(ctx context.Context, tx pgx.Tx, run NamedRun) (deliver func(context.Context), err error) {
	if err := checkSize(run.Handler.Kind, run.Args); err != nil {
		return nil, err
	}
	m := messageOf(run.Handler.Declaration, run.Args, run.At)
	m.ID, m.Queue, m.Retention = run.Name, string(run.Queue), max(m.Retention, taskqueue.DoneRetention)
	return t.insertOutbox(ctx, tx, m)
}

// RunUnfinished reports whether the task of a run is in the outbox, waits or
// runs. One that waits for its next attempt does not count. When Redis does not reply, only the outbox counts: one run too many is
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
	case taskqueue.Completed, taskqueue.Archived, taskqueue.Retry:
		return false, nil
	}
	return true, nil
}
