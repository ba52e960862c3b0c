package telemetry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDropped_LogsAtOnceAndThenOnceAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)

		reporter.Dropped(Redis, "wave")
		require.Equal(t, "level=WARN msg=\"Tasks were dropped\" backend=redis dropped=1 kinds.wave=1\n", log.Take())
		for range 50 {
			time.Sleep(time.Second)
			reporter.Dropped(Redis, "wave")
			reporter.Dropped(Redis, "nod")
			reporter.Dropped(Redis, "nod")
		}
		require.Empty(t, log.Take())
		time.Sleep(11 * time.Second)
		require.Equal(t, "level=WARN msg=\"Tasks were dropped\" backend=redis dropped=150 kinds.nod=100 kinds.wave=50 within=1m0s\n", log.Take())

		time.Sleep(time.Hour)
		require.Empty(t, log.Take())
		synctest.Wait()
		require.Empty(t, reporter.drops)
		reporter.Dropped(Redis, "wave")
		require.Contains(t, log.Take(), " dropped=1 ")
		reporter.Dropped(Redis, "wave")
		reporter.Dropped(Redis, "wave")
		reporter.Close()
		require.Contains(t, log.Take(), " dropped=2 ")
	})
}

func TestDropped_AlertsWhenTasksAreDroppedForAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		for range 100 {
			reporter.Dropped(Redis, "wave")
			time.Sleep(time.Second / 2)
		}
		synctest.Wait()
		require.Empty(t, sentry.takeFingerprints())
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"redis/dropped"}, sentry.takeFingerprints())
	})
}

func TestDropped_DoesNotAlertWhenARoleStops(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		for range 10 {
			reporter.Dropped(Redis, "wave")
		}
		reporter.Close()
		synctest.Wait()

		require.Empty(t, sentry.takeFingerprints())
	})
}
