package jobs

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// InBatch is a condition on river_job in SQL, which the text of the id of a batch
// follows: the job is in the batch and not done. The index river_job_batch serves it.
const InBatch = `state <> 'completed' AND metadata ? '` + BatchKey + `' AND metadata->>'` + BatchKey + `' = `

// EnqueueInBatch is Enqueue for jobs of a batch. It returns how many jobs are new: it
// leaves out duplicates. The package batch calls it.
func (j *Jobs) EnqueueInBatch(ctx context.Context, tx pgx.Tx, batch int64, jobs ...Args) (inserted int, err error) {
	return j.enqueue(ctx, tx, time.Time{}, metadata{Batch: batch}, jobs)
}

// Callback returns the kind and the JSON of a job that EnqueueCallback inserts later.
// It refuses what Enqueue refuses.
func (j *Jobs) Callback(job Args) (kind string, args json.RawMessage, err error) {
	one, err := j.insertOf(job, time.Time{}, metadata{})
	return one.args.declaration.Kind, one.args.payload, err
}

// EnqueueCallback inserts the job that a batch causes when it ends. It leaves out a
// unique job when an equal one exists.
func (j *Jobs) EnqueueCallback(ctx context.Context, tx pgx.Tx, handler Handler, args json.RawMessage, batch int64) error {
	more := metadata{Callback: batch, Request: causeOf(ctx).Request}
	_, err := j.insertAll(ctx, tx, []insert{newInsert(handler.Declaration, args, time.Time{}, more)})
	return err
}
