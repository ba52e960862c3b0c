package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestReport_LogsTheFirstOfAKindAndThenASummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		refused := errors.New("connection refused")

		reporter.Report(Redis, "Hub.listen", refused)
		require.Equal(t, refusedLine+"\n", log.Take())

		for range 41 {
			time.Sleep(700 * time.Millisecond)
			reporter.Report(Redis, "Hub.listen", refused)
		}
		require.Empty(t, log.Take())

		time.Sleep(2 * time.Second)
		require.Equal(t, refusedLine+" suppressed=41 within=30s\n", log.Take())
	})
}

func TestReport_ARunWithoutNewFailuresEndsAfterItsSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		for range 3 {
			reporter.Report(Redis, "Hub.listen", errors.New("broken pipe"))
		}
		log.Take()

		time.Sleep(summaryEvery + time.Second)
		require.Contains(t, log.Take(), "suppressed=2")
		time.Sleep(2 * summaryEvery)
		require.Empty(t, log.Take())
		synctest.Wait()
		require.Empty(t, reporter.kinds)

		reporter.Report(Redis, "Hub.listen", errors.New("broken pipe"))
		require.Equal(t, "level=WARN msg=\"Backend call failed\" backend=redis source=Hub.listen class=reset error=\"broken pipe\"\n", log.Take())
	})
}

func TestReport_GivesEveryClassItsSeverity(t *testing.T) {
	t.Parallel()
	for message, level := range map[string]string{
		"OOM command not allowed": "ERROR", "MISCONF Redis is configured": "ERROR", "NOAUTH": "ERROR",
		"MOVED 1 host:1": "ERROR", "WRONGTYPE": "ERROR",
		"LOADING": "INFO", "READONLY": "WARN", "i/o timeout": "WARN", "no idea": "WARN",
	} {
		reporter, log := newReporter(t)

		reporter.Report(Redis, "test", errors.New(message))

		require.Contains(t, log.Take(), "level="+level+" ", message)
	}
	for code, level := range map[string]string{
		"57P01": "WARN", "57P03": "WARN", "08006": "WARN", "25006": "WARN", "40P01": "WARN", "55P03": "WARN",
		"53300": "ERROR", "53100": "ERROR", "28P01": "ERROR", "42P01": "ERROR", "3D000": "ERROR",
	} {
		reporter, log := newReporter(t)

		reporter.Report(PG, "test", &pgconn.PgError{Code: code})

		require.Contains(t, log.Take(), "level="+level+" ", code)
	}
}

func TestReport_ABurstOfLibraryLinesIsOneLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)

		// go-redis and asynq write such lines in an outage, each with a different port.
		for i := range 100 {
			refused := fmt.Sprintf("dial tcp 127.0.0.1:%d: connect: connection refused", i)
			reporter.Report(Redis, "redis.Client", errors.New("redis: connection pool: failed to dial after 1 attempts: "+refused))
			reporter.Report(Redis, "asynq.Server", errors.New("could not dequeue: UNKNOWN: redis eval error: "+refused))
		}
		require.Equal(t, 2, strings.Count(log.Take(), "\n"))

		reporter.Close()
		require.Equal(t, 2, strings.Count(log.Take(), "suppressed=99"))
	})
}

func TestReport_LogsEachKindOnLinesOfItsOwn(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)

	reporter.Report(Redis, "Tasks.Enqueue", errors.New("LOADING"))
	reporter.Report(Redis, "Tasks.Enqueue", errors.New("READONLY"))
	reporter.Report(Redis, "Hub.listen", errors.New("LOADING"))
	reporter.Report(PG, "Hub.listen", errors.New("LOADING"))
	reporter.Report(Redis, "Tasks.Enqueue", errors.New("LOADING again"))

	require.Equal(t, 4, strings.Count(log.Take(), "\n"))
}

func TestReport_IgnoresCancelledCalls(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)

	reporter.Report(Redis, "Hub.listen", nil)
	reporter.Report(Redis, "Hub.listen", fmt.Errorf("receive: %w", context.Canceled))

	require.Empty(t, log.Take())
	require.Empty(t, failures(t, reporter))
}

func TestReport_CountsEveryFailure(t *testing.T) {
	t.Parallel()
	reporter, _ := newReporter(t)

	for range 3 {
		reporter.Report(Redis, "Hub.listen", context.DeadlineExceeded)
	}

	require.Equal(t, map[string]float64{"redis timeout Hub.listen": 3}, failures(t, reporter))
}

func TestReport_BoundsTheNumberOfKinds(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)

	for i := range 10 * maxKinds {
		reporter.Report(Redis, fmt.Sprintf("Caller%d", i), errors.New("broken"))
	}

	require.Len(t, reporter.kinds, maxKinds+1)
	require.Equal(t, maxKinds+1, strings.Count(log.Take(), "\n"))
	reporter.Close()
	require.Contains(t, log.Take(), fmt.Sprintf("backend=redis source=others class=other error=broken suppressed=%d ", 9*maxKinds-1))
}

func TestReport_ConcurrentCallsLoseNoCount(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)

	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 50 {
				reporter.Report(Redis, "Hub.listen", errors.New("broken"))
			}
		})
	}
	group.Wait()
	reporter.Close()

	written := log.Take()
	require.Equal(t, 2, strings.Count(written, "\n"))
	require.Contains(t, written, "suppressed=999 ")
	require.Equal(t, map[string]float64{"redis other Hub.listen": 1000}, failures(t, reporter))
}

func TestReport_BoundsTheLengthOfALine(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)

	reporter.Report(Redis, "test", errors.New(strings.Repeat("é", 100_000)))

	require.Less(t, len(log.Take()), 2*longestMessage)
}

func TestReport_AnErrorThatPanicsDoesNotPanicTheCaller(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)
	var broken *net.OpError // a nil pointer, whose Error method panics

	reporter.Report(Redis, "test", fmt.Errorf("call: %w", panicking{}))
	reporter.Report(Redis, "test", broken)
	reporter.Unexpected("test", "", panicking{})

	require.Contains(t, log.Take(), "Reporter of failures panicked")
}

func TestClose_LosesNoCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		reporter.BeginOutage(Redis, "shared", "refused", time.Now())
		for range 7 {
			reporter.Report(Redis, "Hub.listen", errors.New("connection refused"))
		}
		log.Take()

		reporter.Close()
		reporter.Close()

		require.Equal(t, refusedLine+" suppressed=6 within=0s\n", log.Take())
		time.Sleep(time.Hour)
		require.Empty(t, log.Take())
	})
}
