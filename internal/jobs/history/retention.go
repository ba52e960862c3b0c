package history

import (
	"context"
	"fmt"
	"time"
)

// Private

const (
	// pruneEvery is the interval at which old rows are deleted.
	pruneEvery = 10 * time.Minute
	// pruneAtOnce bounds the rows of one statement.
	pruneAtOnce = 5000
)

// prune deletes rows that are too old, a bounded number of each table. When there are
// more, it goes on in the next round.
func (r *Recorder) prune(ctx context.Context) error {
	if time.Since(r.prunedAt) < pruneEvery {
		return nil
	}
	more := false
	for _, step := range storedSteps {
		kept := Kept
		if step == storedSteps[0] {
			kept = FineFor
		}
		deleted, err := r.delete(ctx, `
			DELETE FROM job_figures
			WHERE ctid = ANY (ARRAY(
				SELECT ctid FROM job_figures WHERE step = $1 AND at < now() - $2::interval - interval '1 hour' ORDER BY at LIMIT $3
			))`, step, kept, pruneAtOnce)
		if err != nil {
			return err
		}
		more = more || deleted == pruneAtOnce
	}
	deleted, err := r.delete(ctx, `
		DELETE FROM job_depths
		WHERE ctid = ANY (ARRAY(SELECT ctid FROM job_depths WHERE at < now() - $1::interval - interval '1 hour' ORDER BY at LIMIT $2))`,
		Kept, pruneAtOnce)
	if err != nil {
		return err
	}
	more = more || deleted == pruneAtOnce
	_, err = r.delete(ctx, `
		DELETE FROM app_versions
		WHERE version IN (SELECT version FROM app_versions ORDER BY first_seen_at DESC OFFSET $1 LIMIT $2)`, mostVersions, pruneAtOnce)
	if err != nil {
		return err
	}
	if !more {
		r.prunedAt = time.Now()
	}
	return nil
}

func (r *Recorder) delete(ctx context.Context, statement string, arguments ...any) (int64, error) {
	deleted, err := r.db.Exec(ctx, statement, arguments...)
	if err != nil {
		return 0, fmt.Errorf("delete old figures of jobs: %w", err)
	}
	return deleted.RowsAffected(), nil
}
