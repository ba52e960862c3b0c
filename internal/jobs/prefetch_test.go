package jobs

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"
	"github.com/stretchr/testify/require"
)

func TestSlots_FetchAheadOnlyWhatTheyFinishSoon(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(50)
		require.Equal(t, 50, s.room(time.Now()), "nothing is known of the jobs")

		s.ended.Add(200)
		time.Sleep(fetchWindow)
		require.Equal(t, 250, s.room(time.Now()))
		s.ended.Add(10_000)
		time.Sleep(fetchWindow)
		require.Equal(t, mostFetched, s.room(time.Now()))
		s.held.Store(490)
		require.Equal(t, 10, s.room(time.Now()))

		time.Sleep(fetchWindow)
		require.Equal(t, 50-490, s.room(time.Now()), "the slots finished none")
		s.ended.Add(3)
		time.Sleep(time.Second)
		require.Equal(t, 50-490, s.room(time.Now()), "slow jobs are never fetched ahead")
	})
}

func TestSlots_AFewSlotsFetchFewAhead(t *testing.T) {
	t.Parallel()

	require.Equal(t, 30, newSlots(3).most)
	require.Equal(t, 500, newSlots(50).most)
	require.Equal(t, 600, newSlots(600).most)
}

func TestSlots_NoneIsFetchedAheadWhereAKindHasALimit(t *testing.T) {
	t.Parallel()
	key := func(json.RawMessage) string { return "one" }
	handlers := Handlers{
		{Declaration: Declaration{Kind: "limited", Queue: Default, Limit: Limit{Key: key}}},
		{Declaration: Declaration{Kind: "free", Queue: Low}},
	}

	require.Equal(t, 30, slotsOf(handlers, Default, 30).most)
	require.Equal(t, 300, slotsOf(handlers, Low, 30).most)
}

func TestSlotsByQueue_NoMoreJobsRunThanThereAreSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		middleware := &slotsByQueue{queues: map[string]*slots{"default": newSlots(2)}}
		release, ran := make(chan struct{}), make(chan error, 5)
		var running atomic.Int64
		for id := range int64(5) {
			go func() {
				ran <- middleware.Work(t.Context(), &rivertype.JobRow{ID: id, Queue: "default"}, func(context.Context) error {
					running.Add(1)
					<-release
					return nil
				})
			}()
		}

		synctest.Wait()
		require.EqualValues(t, 2, running.Load())
		time.Sleep(slotPatience + time.Millisecond)

		for range 3 { // they return to the queue, because another worker may have a slot
			var snooze *rivertype.JobSnoozeError
			require.ErrorAs(t, <-ran, &snooze)
			require.Zero(t, snooze.Duration)
		}
		close(release)
		require.NoError(t, <-ran)
		require.NoError(t, <-ran)
		require.Zero(t, middleware.queues["default"].held.Load())
		require.EqualValues(t, 2, middleware.queues["default"].ended.Load())
	})
}

func TestSlotsByQueue_AJobThatWaitsReturnsWhenTheWorkerStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		middleware := &slotsByQueue{queues: map[string]*slots{"default": newSlots(1)}}
		middleware.queues["default"].taken <- struct{}{}
		ended := make(chan error, 1)
		go func() {
			ended <- middleware.Work(t.Context(), &rivertype.JobRow{Queue: "default"}, func(context.Context) error { return nil })
		}()
		synctest.Wait()

		middleware.stop()
		synctest.Wait()

		var snooze *rivertype.JobSnoozeError
		require.ErrorAs(t, <-ended, &snooze)
	})
}

func TestSlotsByQueue_OtherWorkGetsTheSlotOfAStuckJob(t *testing.T) {
	t.Parallel()
	own := newSlots(1)
	require.True(t, own.take(t.Context(), 1))

	own.release(1)
	require.True(t, own.take(t.Context(), 2))
	own.release(1) // its handler has ended after all

	require.Len(t, own.taken, 1)
}

func TestSlotsByQueue_AJobThatIsCancelledWhileItWaitsNeverRuns(t *testing.T) {
	t.Parallel()
	middleware := &slotsByQueue{queues: map[string]*slots{"default": newSlots(1)}}
	middleware.queues["default"].taken <- struct{}{}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(rivertype.ErrJobCancelledRemotely)

	err := middleware.Work(ctx, &rivertype.JobRow{Queue: "default"}, func(context.Context) error { return nil })

	require.ErrorIs(t, err, rivertype.ErrJobCancelledRemotely)
}

func TestPrefetch_AsksTheDatabaseOnlyWhenThereMayBeJobs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := &fetchedJobs{}
		queue := &fetches{slots: newSlots(10)}
		executor := prefetchExecutor{inner, map[string]*fetches{"default": queue}}
		fetch := func(most int) int {
			result, err := executor.JobGetAvailable(t.Context(), &riverdriver.JobGetAvailableParams{Queue: "default", MaxToLock: most})
			require.NoError(t, err)
			return len(result.Jobs)
		}

		inner.waiting = 13
		require.Equal(t, 10, fetch(100), "the first fetch")
		require.Equal(t, 3, fetch(100), "the one before found all that it asked for")
		require.Zero(t, fetch(100))
		require.Len(t, inner.asked, 2, "the one before found less")

		queue.notified.Store(true)
		fetch(4)
		require.Equal(t, []int{10, 10, 4}, inner.asked)
		time.Sleep(forgottenJobs)
		fetch(100)
		require.Len(t, inner.asked, 4, "a notification may be lost")

		queue.notified.Store(true)
		queue.slots.held.Store(10)
		fetch(100)
		require.Len(t, inner.asked, 4, "no slot is free")
		queue.slots.held.Store(0)
		fetch(100)
		require.Len(t, inner.asked, 5, "the notification is not forgotten")
	})
}

// fetchedJobs are the jobs of a database.
type fetchedJobs struct {
	riverdriver.Executor
	waiting int
	asked   []int
}

func (f *fetchedJobs) JobGetAvailable(
	_ context.Context, params *riverdriver.JobGetAvailableParams,
) (*riverdriver.JobGetAvailableResult, error) {
	f.asked = append(f.asked, params.MaxToLock)
	found := min(params.MaxToLock, f.waiting)
	f.waiting -= found
	return &riverdriver.JobGetAvailableResult{Jobs: make([]*rivertype.JobRow, found)}, nil
}
