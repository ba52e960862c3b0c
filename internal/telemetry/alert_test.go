package telemetry

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestReport_AlertsAtOnceWhenAnOperatorMustAct(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		for _, reply := range []string{
			"NOAUTH", "WRONGPASS", "OOM command", "MISCONF", "MOVED 1 a:1",
			"LOADING", "READONLY", "i/o timeout", "connection refused", "no idea",
		} {
			reporter.Report(Redis, "Tasks.Enqueue", errors.New(reply))
		}
		for _, code := range []string{"57P01", "57P03", "08006", "25006", "53300", "28P01"} {
			reporter.Report(PG, "web.handleError", &pgconn.PgError{Code: code})
		}
		reporter.Report(PG, "Probe.Check", errors.New("server refused TLS connection"))

		require.Equal(t, []string{
			"redis/auth", "redis/oom", "redis/misconf", "redis/cluster", "postgresql/sqlstate_53300", "postgresql/sqlstate_28P01", "postgresql/tls",
		}, sentry.takeFingerprints())
	})
}

func TestReport_DoesNotAlertForAPlannedRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		for range 3 {
			outage := reporter.BeginOutage(Redis, "shared", "refused", time.Now())
			for range 59 {
				reporter.Report(Redis, "Hub.listen", errors.New("connection refused"))
				reporter.Report(Redis, "asynq.Server", errors.New("LOADING"))
				reporter.Report(PG, "web.handleError", errors.New("connection refused"))
				time.Sleep(time.Second)
			}
			outage.End(1000, 3)
			time.Sleep(time.Hour)
		}

		require.Empty(t, sentry.takeFingerprints())
	})
}

func TestReport_AlertsAfterAMinuteAndThenEveryFiveMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		for range 62 {
			reporter.Report(PG, "web.handleError", errors.New("connection refused"))
			reporter.Report(PG, "Probe.Check", errors.New("connection refused"))
			time.Sleep(time.Second)
		}
		require.Equal(t, []string{"postgresql/refused"}, sentry.takeFingerprints())

		for range 5 * 60 {
			reporter.Report(PG, "web.handleError", errors.New("connection refused"))
			time.Sleep(time.Second)
		}
		require.Equal(t, []string{"postgresql/refused"}, sentry.takeFingerprints())
	})
}

func TestBeginOutage_AlertsAfterAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		outage := reporter.BeginOutage(Redis, "queue", "timeout", time.Now())
		time.Sleep(59 * time.Second)
		synctest.Wait()
		require.Empty(t, sentry.takeFingerprints())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"redis/timeout"}, sentry.takeFingerprints())

		outage.End(0, 0)
		reporter.BeginOutage(Redis, "queue", "timeout", time.Now())
		reporter.Close()
		time.Sleep(time.Hour)
		require.Empty(t, sentry.takeFingerprints())
	})
}

func TestEnqueue_BoundsTheAlertsOfOneProcess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		for i := range 30 {
			reporter.Unexpected(fmt.Sprintf("GET /%d", i), "", errors.New("no idea"))
		}
		require.Len(t, sentry.takeFingerprints(), 10)
		require.Equal(t, 20.0, sentry.lost(t)["rate"])

		time.Sleep(30 * time.Second)
		for i := range 30 {
			reporter.Unexpected(fmt.Sprintf("GET /%d", 100+i), "", errors.New("no idea"))
		}
		require.Len(t, sentry.takeFingerprints(), 5)
	})
}

func TestEnqueue_CountsAlertsThatFindTheQueueFull(t *testing.T) {
	t.Parallel()
	reporter, sentry := newQueue(t)
	sentry.limits.burst, sentry.limits.tokens = 1000, 1000

	for i := range sentryQueue + 7 {
		reporter.Unexpected(fmt.Sprintf("GET /%d", i), "", errors.New("no idea"))
	}

	require.Equal(t, 7.0, sentry.lost(t)["queue_full"])
	require.Len(t, sentry.takeFingerprints(), sentryQueue)
	reporter.Unexpected(fmt.Sprintf("GET /%d", sentryQueue), "", errors.New("no idea"))
	require.Len(t, sentry.takeFingerprints(), 1, "a lost alert does not suppress the next one")
}
