package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestReport_LogsTheFirstOfAKindAndThenASummary(t *testing.T) {
	t.Parallel()
	reporter, log, clock := newReporter(t)
	broken := errors.New("LOADING Redis is loading")

	reporter.Report("Redis", "Hub.listen", broken)
	require.Equal(t, "level=WARN msg=\"[Hub.listen] Redis error: loading: LOADING Redis is loading\"\n", log.take())

	for range 41 {
		clock.advance(700 * time.Millisecond)
		reporter.Report("Redis", "Hub.listen", broken)
	}
	require.Empty(t, log.take())

	clock.advance(2 * time.Second)
	reporter.Report("Redis", "Hub.listen", broken)
	require.Equal(t, "level=WARN msg=\"[Hub.listen] Redis error: loading: LOADING Redis is loading\" suppressed=41 within=31s\n", log.take())

	clock.advance(time.Hour)
	reporter.Report("Redis", "Hub.listen", broken)
	require.NotContains(t, log.take(), "suppressed")
}

func TestReport_TellsKindsApart(t *testing.T) {
	t.Parallel()
	reporter, log, _ := newReporter(t)

	reporter.Report("Redis", "Tasks.Enqueue", errors.New("LOADING"))
	reporter.Report("Redis", "Tasks.Enqueue", errors.New("READONLY"))
	reporter.Report("Redis", "Hub.listen", errors.New("LOADING"))
	reporter.Report("PostgreSQL", "Hub.listen", errors.New("LOADING"))
	reporter.Report("Redis", "Tasks.Enqueue", errors.New("LOADING again"))

	require.Equal(t, 4, strings.Count(log.take(), "\n"))
}

func TestReport_CancelledIsNoFailure(t *testing.T) {
	t.Parallel()
	reporter, log, _ := newReporter(t)

	reporter.Report("Redis", "Hub.listen", nil)
	reporter.Report("Redis", "Hub.listen", fmt.Errorf("receive: %w", context.Canceled))

	require.Empty(t, log.take())
	require.Empty(t, failures(t, reporter))
}

func TestReport_CountsEveryFailure(t *testing.T) {
	t.Parallel()
	reporter, _, _ := newReporter(t)

	for range 3 {
		reporter.Report("Redis", "Hub.listen", context.DeadlineExceeded)
	}

	require.Equal(t, map[string]float64{"Redis timeout Hub.listen": 3}, failures(t, reporter))
}

func TestReport_RemembersABoundedNumberOfKinds(t *testing.T) {
	t.Parallel()
	reporter, _, _ := newReporter(t)

	for i := range 10 * maxKinds {
		reporter.Report("Redis", fmt.Sprintf("Caller%d", i), errors.New("broken"))
	}

	require.LessOrEqual(t, len(reporter.kinds), maxKinds)
}

func TestReport_ManyAtOnceLoseNoCount(t *testing.T) {
	t.Parallel()
	reporter, log, clock := newReporter(t)

	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 50 {
				reporter.Report("Redis", "Hub.listen", errors.New("broken"))
			}
		})
	}
	group.Wait()
	clock.advance(summaryEvery)
	reporter.Report("Redis", "Hub.listen", errors.New("broken"))

	require.Equal(t, 2, strings.Count(log.take(), "\n"))
	require.Equal(t, map[string]float64{"Redis other Hub.listen": 1001}, failures(t, reporter))
}

func TestReturned_SaysHowLongTheBackendWasAway(t *testing.T) {
	t.Parallel()
	reporter, log, clock := newReporter(t)
	since := clock.now()
	clock.advance(1500 * time.Millisecond)

	reporter.Returned("Redis", since)

	require.Equal(t, "level=INFO msg=\"Redis is back\" away=1.5s\n", log.take())
}

func TestScrub_HidesCredentials(t *testing.T) {
	t.Parallel()
	for message, scrubbed := range map[string]string{
		"dial redis://:hunter2@db:6379/0: refused":       "dial redis://***@db:6379/0: refused",
		"dial redis://u:hun@ter2@db:6379/0":              "dial redis://***@db:6379/0",
		"dial redis://u:hunter2/x@db":                    "dial redis://***@db",
		"from postgres://a:hunter2@b to smtp://c@d":      "from postgres://***@b to smtp://***@d",
		"host=db password=hunter2 dbname=shop":           "host=db password=*** dbname=shop",
		"host=db password='hunter2 hunter2' dbname=shop": "host=db password=*** dbname=shop",
		"GET /x?token=hunter2&page=2":                    "GET /x?token=***&page=2",
		`{"password": "hunter2 x", "name": "a"}`:         `{"password": ***, "name": "a"}`,
		"Secret: hunter2":                                "Secret: ***",
		"user@example.com wrote to http://host/a":        "user@example.com wrote to http://host/a",
	} {
		require.Equal(t, scrubbed, Scrub(message))
	}
}

func TestNewLogger_WritesForPeopleOrMachines(t *testing.T) {
	t.Parallel()
	var text, machine bytes.Buffer

	NewLogger(&text, slog.LevelInfo, false, "web").Info("Serving", "port", 3000)
	NewLogger(&machine, slog.LevelWarn, true, "web").Info("Not shown")
	NewLogger(&machine, slog.LevelWarn, true, "web").Warn("Shown")

	require.Regexp(t, `^time=\d\d:\d\d:\d\d\.\d{3} level=INFO msg=Serving port=3000\n$`, text.String())
	require.Regexp(t, `^{"time":"\S+","level":"WARN","msg":"Shown","role":"web"}\n$`, machine.String())
}

func TestNewRegistry_ShowsTheProcess(t *testing.T) {
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

func newReporter(t *testing.T) (*Reporter, *lines, *clock) {
	t.Helper()
	log := &lines{}
	noTime := func(_ []string, attribute slog.Attr) slog.Attr {
		if attribute.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return attribute
	}
	reporter := NewReporter(slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: noTime})), prometheus.NewRegistry())
	clock := &clock{at: time.Now()}
	reporter.now = clock.now
	return reporter, log, clock
}

// failures are the counts of app_backend_failures_total by backend, class and
// source.
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

// lines is a log that several goroutines may write.
type lines struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.buffer.Write(line)
}

// take returns what was written since the last take.
func (l *lines) take() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	defer l.buffer.Reset()
	return l.buffer.String()
}

type clock struct {
	mutex sync.Mutex
	at    time.Time
}

func (c *clock) now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.at = c.at.Add(d)
}
