package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestReport_LogsTheFirstOfAKindAndThenASummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		refused := errors.New("connection refused")

		reporter.Report(Redis, "Hub.listen", refused)
		require.Equal(t, refusedLine+"\n", log.take())

		for range 41 {
			time.Sleep(700 * time.Millisecond)
			reporter.Report(Redis, "Hub.listen", refused)
		}
		require.Empty(t, log.take())

		time.Sleep(2 * time.Second)
		require.Equal(t, refusedLine+" suppressed=41 within=30s\n", log.take())
	})
}

func TestReport_ARunWithoutNewFailuresEndsAfterItsSummary(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		for range 3 {
			reporter.Report(Redis, "Hub.listen", errors.New("broken pipe"))
		}
		log.take()

		time.Sleep(summaryEvery + time.Second)
		require.Contains(t, log.take(), "suppressed=2")
		time.Sleep(2 * summaryEvery)
		require.Empty(t, log.take())
		synctest.Wait()
		require.Empty(t, reporter.kinds)

		reporter.Report(Redis, "Hub.listen", errors.New("broken pipe"))
		require.Equal(t, "level=WARN msg=\"Backend call failed\" backend=redis source=Hub.listen class=reset error=\"broken pipe\"\n", log.take())
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

		require.Contains(t, log.take(), "level="+level+" ", message)
	}
	for code, level := range map[string]string{
		"57P01": "WARN", "57P03": "WARN", "08006": "WARN", "25006": "WARN", "40P01": "WARN", "55P03": "WARN",
		"53300": "ERROR", "53100": "ERROR", "28P01": "ERROR", "42P01": "ERROR", "3D000": "ERROR",
	} {
		reporter, log := newReporter(t)

		reporter.Report(PG, "test", &pgconn.PgError{Code: code})

		require.Contains(t, log.take(), "level="+level+" ", code)
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
		require.Equal(t, 2, strings.Count(log.take(), "\n"))

		reporter.Close()
		require.Equal(t, 2, strings.Count(log.take(), "suppressed=99"))
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

	require.Equal(t, 4, strings.Count(log.take(), "\n"))
}

func TestReport_IgnoresCancelledCalls(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)

	reporter.Report(Redis, "Hub.listen", nil)
	reporter.Report(Redis, "Hub.listen", fmt.Errorf("receive: %w", context.Canceled))

	require.Empty(t, log.take())
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
	require.Equal(t, maxKinds+1, strings.Count(log.take(), "\n"))
	reporter.Close()
	require.Contains(t, log.take(), fmt.Sprintf("backend=redis source=others class=other error=broken suppressed=%d ", 9*maxKinds-1))
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

	written := log.take()
	require.Equal(t, 2, strings.Count(written, "\n"))
	require.Contains(t, written, "suppressed=999 ")
	require.Equal(t, map[string]float64{"redis other Hub.listen": 1000}, failures(t, reporter))
}

func TestReport_BoundsTheLengthOfALine(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)

	reporter.Report(Redis, "test", errors.New(strings.Repeat("é", 100_000)))

	require.Less(t, len(log.take()), 2*longestMessage)
}

func TestReport_AnErrorThatPanicsDoesNotPanicTheCaller(t *testing.T) {
	t.Parallel()
	reporter, log := newReporter(t)
	var broken *net.OpError // a nil pointer, whose Error method panics

	reporter.Report(Redis, "test", fmt.Errorf("call: %w", panicking{}))
	reporter.Report(Redis, "test", broken)
	reporter.Unexpected("test", "", panicking{})

	require.Contains(t, log.take(), "The reporter failed")
}

func TestAway_LogsTheStartAndTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)

		outage := reporter.Away(Redis, "queue", "refused", time.Now())
		time.Sleep(1500 * time.Millisecond)
		outage.End(1200, 3)

		require.Equal(t, "level=WARN msg=\"Backend is unavailable, calls are refused\" backend=redis name=queue reason=refused\n"+
			"level=INFO msg=\"Backend is available again\" backend=redis name=queue away=1.5s refused=1200 failed=3\n", log.take())
	})
}

func TestAway_EndLogsTheSuppressedFailuresFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		outage := reporter.Away(Redis, "shared", "refused", time.Now())
		for range 5 {
			reporter.Report(Redis, "Hub.listen", errors.New("connection refused"))
			reporter.Report(PG, "web.handleError", errors.New("connection refused"))
		}
		time.Sleep(time.Second)
		log.take()

		outage.End(0, 0)

		require.Equal(t, refusedLine+" suppressed=4 within=1s\n"+
			"level=INFO msg=\"Backend is available again\" backend=redis name=shared away=1s refused=0 failed=0\n", log.take())
	})
}

func TestAway_FrequentShortOutagesDoNotFloodTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)

		for range 20 {
			outage := reporter.Away(Redis, "shared", "refused", time.Now())
			for range 10 {
				reporter.Report(Redis, "Hub.listen", errors.New("connection refused"))
			}
			time.Sleep(3 * time.Second)
			outage.End(0, 0)
		}
		reporter.Close()

		written := log.take()
		require.Equal(t, 20, strings.Count(written, "Backend is unavailable"))
		require.Equal(t, 20, strings.Count(written, "Backend is available again"))
		require.LessOrEqual(t, strings.Count(written, "Backend call failed"), 8)
		require.Equal(t, 200, countFailures(t, written))
	})
}

func TestClose_LosesNoCount(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		reporter.Away(Redis, "shared", "refused", time.Now())
		for range 7 {
			reporter.Report(Redis, "Hub.listen", errors.New("connection refused"))
		}
		log.take()

		reporter.Close()
		reporter.Close()

		require.Equal(t, refusedLine+" suppressed=6 within=0s\n", log.take())
		time.Sleep(time.Hour)
		require.Empty(t, log.take())
	})
}

func TestNewLogger_WritesTextOrJSON(t *testing.T) {
	t.Parallel()
	var text, machine bytes.Buffer

	NewLogger(&text, slog.LevelInfo, false, "web").Info("Serving requests", "port", 3000)
	NewLogger(&machine, slog.LevelWarn, true, "web").Info("Not shown")
	NewLogger(&machine, slog.LevelWarn, true, "web").Warn("Shown")

	require.Regexp(t, `^time=\d\d:\d\d:\d\d\.\d{3} level=INFO msg="Serving requests" port=3000\n$`, text.String())
	require.Regexp(t, `^{"time":"\S+","level":"WARN","msg":"Shown","role":"web"}\n$`, machine.String())
}

func TestNewRegistry_CollectsRuntimeAndProcessMetrics(t *testing.T) {
	t.Parallel()

	families, err := NewRegistry().Gather()

	require.NoError(t, err)
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
	}
	require.Subset(t, names, []string{"go_goroutines", "process_open_fds"})
}

// Private

// refusedLine is the log line of a call from Hub.listen that Redis refused.
const refusedLine = `level=WARN msg="Backend call failed" backend=redis source=Hub.listen class=refused error="connection refused"`

func newReporter(t *testing.T) (*Reporter, *lines) {
	t.Helper()
	log := &lines{}
	noTime := func(_ []string, attribute slog.Attr) slog.Attr {
		if attribute.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attribute
	}
	reporter := NewReporter(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: noTime})), prometheus.NewRegistry())
	t.Cleanup(reporter.Close)
	return reporter, log
}

// panicking is an error whose Error method panics.
type panicking struct{}

func (panicking) Error() string { panic("no words") }

// countFailures returns the number of failures that the lines of a log report.
func countFailures(t *testing.T, log string) int {
	t.Helper()
	sum := 0
	for line := range strings.Lines(log) {
		if !strings.Contains(line, "Backend call failed") {
			continue
		}
		count := 1
		if _, after, found := strings.Cut(line, "suppressed="); found {
			_, err := fmt.Sscan(after, &count)
			require.NoError(t, err)
		}
		sum += count
	}
	return sum
}

// failures returns the values of app_backend_failures_total by the labels
// backend, class and source.
func failures(t *testing.T, reporter *Reporter) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(reporter.failures)
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			counts[strings.Join(labels, " ")] = metric.GetCounter().GetValue()
		}
	}
	return counts
}

// lines is a buffer for log lines, safe for concurrent use.
type lines struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.Write(line)
}

// take returns and removes the buffered lines.
func (l *lines) take() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	defer l.buffer.Reset()
	return l.buffer.String()
}
