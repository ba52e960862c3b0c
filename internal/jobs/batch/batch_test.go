package batch

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

func TestEnqueue_CallsBackOnceWhenAllJobsAreDone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var ran atomic.Int64
	var id ID
	require.NoError(t, pgx.BeginFunc(t.Context(), f.db, func(tx pgx.Tx) (err error) {
		id, err = f.Enqueue(telemetry.WithRequestID(t.Context(), "r-1"), tx, reported, stepsTo(50)...)
		return err
	}))
	waiting := f.show(t, id)

	f.work(t, func(context.Context, step) error {
		ran.Add(1)
		return nil
	})
	done := f.await(t, id, Succeeded)

	require.Equal(t, Progress{Total: 50, Waiting: 50}, waiting.Progress)
	require.Equal(t, Open, waiting.State)
	require.Equal(t, "r-1", waiting.Request)
	require.EqualValues(t, 50, ran.Load())
	require.Equal(t, Progress{Total: 50, Done: 50}, done.Progress)
	require.Equal(t, 100, done.Progress.Percent())
	require.Equal(t, []string{"finish 1", "success 1"}, f.reports(t))
	require.Equal(t, 2, f.count(t, `SELECT count(*) FROM river_job WHERE kind = 'report' AND metadata->>'slipway:request' = 'r-1'`))
}

func TestEnqueue_CommitsWithTheChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	errChange := errors.New("the change failed")

	err := pgx.BeginFunc(t.Context(), f.db, func(tx pgx.Tx) error {
		_, err := f.Enqueue(t.Context(), tx, reported, stepsTo(20)...)
		require.NoError(t, err)
		return errChange
	})

	require.ErrorIs(t, err, errChange)
	require.Zero(t, f.count(t, `SELECT count(*) FROM river_job`)+f.count(t, `SELECT count(*) FROM job_batches`))
}

func TestEnqueue_ABatchWithoutJobsSucceeds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 0)

	f.work(t, func(context.Context, step) error { return nil })

	require.Equal(t, 100, f.await(t, id, Succeeded).Progress.Percent())
	require.Equal(t, []string{"finish 1", "success 1"}, f.reports(t))
}

func TestEnqueue_ADuplicateDoesNotBelongToTheBatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.queue.EnqueueNow(t.Context(), single{Number: 1}))
	var id ID

	require.NoError(t, pgx.BeginFunc(t.Context(), f.db, func(tx pgx.Tx) (err error) {
		id, err = f.Enqueue(t.Context(), tx, Batch{Name: "singles"}, single{Number: 1}, single{Number: 2}, single{Number: 2})
		return err
	}))

	require.Equal(t, Progress{Total: 1, Waiting: 1}, f.show(t, id).Progress)
}

func TestAdd_FromAJobKeepsTheBatchOpen(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 1)
	var ran atomic.Int64

	f.work(t, func(ctx context.Context, job step) error {
		ran.Add(1)
		if job.Number >= 20 {
			return nil
		}
		return pgx.BeginFunc(ctx, f.db, func(tx pgx.Tx) error { return f.Add(ctx, tx, Of(ctx), step{Number: job.Number + 1}) })
	})
	done := f.await(t, id, Succeeded)

	require.GreaterOrEqual(t, ran.Load(), int64(20))
	require.Equal(t, Progress{Total: 20, Done: 20}, done.Progress)
	require.Equal(t, []string{"finish 1", "success 1"}, f.reports(t))
	require.ErrorIs(t, f.add(t, id), ErrFinished)
	require.ErrorIs(t, f.add(t, 99), ErrNotFound)
}

func TestFinisher_SucceedsAfterAFailedJobWasRetried(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 20)
	var broken atomic.Bool
	broken.Store(true)

	f.work(t, func(_ context.Context, job step) error {
		if job.Number == 7 && broken.Load() {
			return errors.New("broken")
		}
		return nil
	})
	finished := f.await(t, id, Finished)
	require.Equal(t, Progress{Total: 20, Done: 19, Failed: 1}, finished.Progress)
	require.Equal(t, []string{"finish 1"}, f.reports(t))
	broken.Store(false)
	f.execute(t, `UPDATE river_job SET state = 'available', finalized_at = NULL, max_attempts = 3 WHERE state = 'discarded'`)

	done := f.await(t, id, Succeeded)

	require.Equal(t, Progress{Total: 20, Done: 20}, done.Progress)
	require.Equal(t, []string{"finish 1", "success 1"}, f.reports(t))
	require.Equal(t, finished.FinishedAt, done.FinishedAt)
}

func TestFinisher_AJobThatWasDeletedBeforeItWasDoneIsNotDone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 20)
	f.execute(t, `DELETE FROM river_job WHERE args->>'number' = '1'`)
	f.execute(t, `UPDATE river_job SET state = 'discarded', finalized_at = now() WHERE args->>'number' = '2'`)
	f.execute(t, `DELETE FROM river_job WHERE args->>'number' = '2'`)

	f.work(t, func(context.Context, step) error { return nil })
	f.await(t, id, Finished)
	f.execute(t, `DELETE FROM river_job WHERE state = 'completed'`) // as River does after a while

	require.Equal(t, Progress{Total: 20, Done: 18, Failed: 1, Cancelled: 1}, f.show(t, id).Progress)
	require.Equal(t, []string{"finish 1"}, f.reports(t))
}

func TestFinisher_LeavesCallbacksOfAnotherReleaseAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 0)
	other := NewFinisher(f.Batches, jobs.Handlers{}, f.log.Logger())

	require.NoError(t, other.round(t.Context()))

	require.Equal(t, Open, f.show(t, id).State)
}

func TestFinisher_DeletesOldBatches(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old, young := f.enqueue(t, 0), f.enqueue(t, 1)
	f.execute(t, `UPDATE job_batches SET finished_at = now() - interval '31 days' WHERE id = 1`)
	f.execute(t, `INSERT INTO deleted_batch_jobs VALUES (1, true), (2, true)`)

	require.NoError(t, NewFinisher(f.Batches, jobs.Handlers{}, f.log.Logger()).round(t.Context()))

	_, err := f.Show(t.Context(), old)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, 1, f.show(t, young).Progress.Failed)
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM deleted_batch_jobs`))
}

func TestList_ShowsTheNewestFirstByState(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 3 {
		f.enqueue(t, 1)
	}
	require.NoError(t, f.Pause(t.Context(), 2))

	require.Equal(t, []ID{3, 2, 1}, f.list(t, Filter{}))
	require.Equal(t, []ID{3}, f.list(t, Filter{Limit: 1}))
	require.Equal(t, []ID{2, 1}, f.list(t, Filter{Before: 3}))
	require.Equal(t, []ID{2}, f.list(t, Filter{State: Paused}))
	require.Equal(t, []ID{3, 1}, f.list(t, Filter{State: Open}))
}

func TestList_CountsTheJobsOfABatchToABound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 50)

	require.NoError(t, pgx.BeginFunc(t.Context(), f.db, func(tx pgx.Tx) error {
		exact, err := countJobs(t.Context(), tx, id, 50, 50)
		require.NoError(t, err)
		require.Equal(t, Progress{Total: 50, Waiting: 50}, exact)
		bounded, err := countJobs(t.Context(), tx, id, 50, 49)
		require.Equal(t, 0, bounded.Percent())
		require.True(t, bounded.More)
		return err
	}))
}

func TestPause_HoldsBackWaitingJobsUntilResume(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 2500)
	other := f.enqueue(t, 1)
	require.NoError(t, f.Pause(t.Context(), id))
	numbers := make(chan int, 3000)

	f.work(t, func(_ context.Context, job step) error {
		numbers <- job.Number
		return nil
	})
	f.await(t, other, Succeeded)
	require.Len(t, numbers, 1)
	<-numbers
	stacktest.Eventually(t, func() bool { return f.count(t, `SELECT count(*) FROM river_job WHERE state = 'pending'`) == 2500 })
	require.Equal(t, Summary{State: Paused, Progress: Progress{Total: 2500, Waiting: 2500}}.Progress, f.show(t, id).Progress)
	require.NoError(t, pgx.BeginFunc(t.Context(), f.db, func(tx pgx.Tx) error { return f.Add(t.Context(), tx, id, step{Number: 2501}) }))
	stacktest.Eventually(t, func() bool { return f.count(t, `SELECT count(*) FROM river_job WHERE state = 'pending'`) == 2501 })
	require.Equal(t, 2501, f.count(t, `SELECT count(*) FROM river_job WHERE state = 'pending' AND attempt = 0 AND scheduled_at < now()`))
	require.Empty(t, numbers)
	require.Equal(t, Paused, f.show(t, id).State)

	require.NoError(t, f.Resume(t.Context(), id))
	f.await(t, id, Succeeded)

	require.Len(t, numbers, 2501)
	for range 100 {
		require.Less(t, <-numbers, 200, "they keep their order")
	}
}

func TestPause_HoldsBackAJobThatFailsMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 1)
	began, fail := make(chan int, 10), make(chan struct{})
	var attempt atomic.Int64
	f.work(t, func(ctx context.Context, _ step) error {
		attempt.Store(int64(jobs.RunOf(ctx).Attempt))
		began <- jobs.RunOf(ctx).Attempt
		<-fail
		if jobs.RunOf(ctx).Attempt == 1 {
			return errors.New("once")
		}
		return nil
	})
	require.Equal(t, 1, <-began)

	require.NoError(t, f.Pause(t.Context(), id))
	close(fail)
	stacktest.Eventually(t, func() bool { return f.count(t, `SELECT count(*) FROM river_job WHERE state = 'pending'`) == 1 })
	require.EqualValues(t, 1, attempt.Load())
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM river_job WHERE attempt = 1 AND cardinality(errors) = 1`))
	require.NoError(t, f.Resume(t.Context(), id))

	f.await(t, id, Succeeded)
	require.Equal(t, 2, <-began)
	require.ErrorIs(t, f.Pause(t.Context(), id), ErrFinished)
	require.ErrorIs(t, f.Pause(t.Context(), 99), ErrNotFound)
}

func TestCancel_EndsWaitingAndRunningJobs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id := f.enqueue(t, 2500)
	began := make(chan struct{}, 2500)
	f.work(t, func(ctx context.Context, _ step) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	for range 20 {
		<-began
	}

	require.NoError(t, f.Cancel(t.Context(), id))
	cancelled := f.await(t, id, Cancelled)
	stacktest.Eventually(t, func() bool { return f.show(t, id).FinishedAt != nil })
	f.await(t, id, Cancelled)

	require.NotNil(t, cancelled.CancelledAt)
	require.Equal(t, Progress{Total: 2500, Cancelled: 2500}, f.show(t, id).Progress)
	require.Equal(t, []string{"finish 1"}, f.reports(t))
	require.Empty(t, began)
	require.ErrorIs(t, f.Cancel(t.Context(), id), ErrFinished)
	require.ErrorIs(t, f.add(t, id), ErrFinished)
}

// Private

// single is a unique job.
type single struct {
	Number int `json:"number"`
}

func (single) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "single", Unique: jobs.Uniqueness{Waiting: true}, Timeout: time.Second}
}

func (f *fixture) add(t *testing.T, id ID) error {
	t.Helper()
	return pgx.BeginFunc(t.Context(), f.db, func(tx pgx.Tx) error { return f.Add(t.Context(), tx, id, step{Number: 100}) })
}

func (f *fixture) list(t *testing.T, filter Filter) (ids []ID) {
	t.Helper()
	found, err := f.List(t.Context(), filter)
	require.NoError(t, err)
	for _, one := range found {
		ids = append(ids, one.ID)
	}
	return ids
}
