package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/telemetry"
)

// Retention is how long work stays visible to operators after its end.
type Retention = taskqueue.Retention

// Private

const (
	// boundEvery is the interval at which workers count the failed work.
	boundEvery = 10 * time.Minute
	// boundNotice is the least time between the first report that the failed work
	// comes near its bound and the first deletion.
	boundNotice = time.Hour
)

// failedBound keeps the number of jobs or tasks that failed for good below a bound.
// It reports that they come near it long before it deletes the oldest of them.
type failedBound struct {
	noun     string // "jobs" or "tasks"
	most     int    // 0: no bound
	count    func(ctx context.Context, most int) (int, error)
	trim     func(ctx context.Context, most int) (int, error)
	log      *slog.Logger
	reporter *telemetry.Reporter

	reportedAt time.Time // zero: not near the bound
}

// run checks the bound until ctx ends.
func (f *failedBound) run(ctx context.Context) {
	if f.most == 0 {
		return
	}
	ticker := time.NewTicker(boundEvery)
	defer ticker.Stop()
	for {
		if err := f.check(ctx, time.Now()); err != nil && ctx.Err() == nil {
			f.log.WarnContext(ctx, "Worker could not count failed work", "of", f.noun, "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (f *failedBound) check(ctx context.Context, now time.Time) error {
	failed, err := f.count(ctx, f.most)
	if err != nil {
		return err
	}
	if failed < f.most-f.most/10 {
		f.reportedAt = time.Time{}
		return nil
	}
	f.log.ErrorContext(ctx, "Failed work comes near its bound, beyond which the oldest is deleted", "of", f.noun, "failed", failed,
		"bound", f.most, "advice", "retry or discard it with app jobs, or raise JOBS_KEEP_FAILED_MOST")
	if f.reportedAt.IsZero() {
		f.reportedAt = now
		f.reporter.Unexpected("retention of "+f.noun, "", fmt.Errorf("%d failed %s are near the bound of %d", failed, f.noun, f.most))
	}
	if failed <= f.most || now.Sub(f.reportedAt) < boundNotice {
		return nil
	}
	deleted, err := f.trim(ctx, f.most)
	if deleted > 0 {
		f.log.ErrorContext(ctx, "Oldest failed work was deleted", "of", f.noun, "deleted", deleted, "bound", f.most)
	}
	return err
}

// failedJobs counts and deletes jobs that failed for good.
type failedJobs struct{ db *pgxpool.Pool }

func (f failedJobs) count(ctx context.Context, most int) (int, error) {
	var count int
	err := f.db.QueryRow(ctx, `
		SELECT count(*) FROM (SELECT FROM river_job WHERE state = 'discarded' LIMIT $1) AS counted`, most+1).Scan(&count)
	if err != nil {
		return 0, fmt.Errorf("count failed jobs: %w", err)
	}
	return count, nil
}

// trim deletes the oldest failed jobs beyond a number, at most ten thousand in a
// call.
func (f failedJobs) trim(ctx context.Context, most int) (int, error) {
	deleted, err := f.db.Exec(ctx, `
		DELETE FROM river_job
		WHERE id IN (
			SELECT id FROM river_job
			WHERE state = 'discarded' AND finalized_at <= (
				SELECT finalized_at FROM river_job WHERE state = 'discarded' ORDER BY finalized_at DESC OFFSET $1 LIMIT 1
			)
			ORDER BY finalized_at
			LIMIT 10000
		)`, most)
	if err != nil {
		return 0, fmt.Errorf("delete the oldest failed jobs: %w", err)
	}
	return int(deleted.RowsAffected()), nil
}

// untilActed is how River is told to keep jobs until an operator acts.
const untilActed = -1

// kept returns a period as River counts it.
func kept(period time.Duration) time.Duration {
	if period == 0 {
		return untilActed
	}
	return period
}
