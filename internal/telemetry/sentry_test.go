package telemetry

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
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

		require.Equal(t, []string{
			"redis/auth", "redis/oom", "redis/misconf", "redis/cluster", "postgresql/sqlstate_53300", "postgresql/sqlstate_28P01",
		}, sentry.takeFingerprints())
	})
}

func TestReport_DoesNotAlertForAPlannedRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		for range 3 {
			outage := reporter.Away(Redis, "shared", "refused", time.Now())
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

func TestAway_AlertsAfterAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, sentry := newQueue(t)

		outage := reporter.Away(Redis, "queue", "timeout", time.Now())
		time.Sleep(59 * time.Second)
		synctest.Wait()
		require.Empty(t, sentry.takeFingerprints())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{"redis/timeout"}, sentry.takeFingerprints())

		outage.End(0, 0)
		reporter.Away(Redis, "queue", "timeout", time.Now())
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

func TestSentry_ReceivesTheErrorAndItsPlaceWithoutPersonalData(t *testing.T) {
	t.Parallel()
	server := newSentryServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	reporter := server.open(t)

	reporter.Report(Redis, "Tasks.Enqueue", errors.New("WRONGPASS for redis://shop:hunter2@10.1.2.3:6379"))
	reporter.Unexpected("GET /letters/:token", "req-1", fmt.Errorf("show letter of ada@example.com: %w", &pgconn.PgError{
		Code: "23505", Message: `duplicate key "hunter2"`, Detail: "Key (email)=(ada@example.com) already exists.",
		TableName: "letters", ConstraintName: "letters_key",
	}))
	func() {
		defer func() { reporter.Unexpected("job confirm", "17", fmt.Errorf("work: %w", Recovered(recover()))) }()
		panic("card 4242424242424242 of 192.0.2.9")
	}()
	reporter.Close()

	events := server.events(t)
	require.Len(t, events, 3)
	for _, event := range events {
		require.Equal(t, "production", event.Environment)
		require.Equal(t, "9f8e7d6c", event.Release)
		require.Equal(t, "web", event.Tags["role"])
		require.Len(t, event.Exception, 1)
		require.Empty(t, event.parts["user"])
		for _, part := range []string{"request", "breadcrumbs", "contexts", "modules", "extra"} {
			require.NotContains(t, event.parts, part)
		}
		for _, secret := range []string{"hunter2", "ada@", "10.1.2.3", "192.0.2.9", "4242"} {
			require.NotContains(t, event.text, secret)
		}
	}

	require.Equal(t, []string{"redis/auth"}, events[0].Fingerprint)
	require.Equal(t, "error", events[0].Level)
	require.Equal(t, "Redis error: auth", events[0].Exception[0].Type)
	require.Equal(t, "WRONGPASS for redis://***@***:6379", events[0].Exception[0].Value)
	require.Equal(t, map[string]string{"role": "web", "backend": "redis", "source": "Tasks.Enqueue", "class": "auth"}, events[0].Tags)

	require.Equal(t, []string{"unexpected/GET /letters/:token/*pgconn.PgError/sqlstate_23505"}, events[1].Fingerprint)
	require.Equal(t, map[string]string{
		"role": "web", "source": "GET /letters/:token", "id": "req-1", "class": "sqlstate_23505", "table": "letters", "constraint": "letters_key",
	}, events[1].Tags)

	require.Equal(t, "fatal", events[2].Level)
	require.Equal(t, "panic", events[2].Exception[0].Type)
	require.Equal(t, "work: panic: card *** of ***", events[2].Exception[0].Value)
	frames := events[2].Exception[0].Stacktrace.Frames
	last := frames[len(frames)-1]
	require.True(t, strings.HasPrefix(last.Function, "slipway/internal/telemetry.TestSentry_Receives"), last.Function)
	require.True(t, strings.HasSuffix(last.AbsPath, "/sentry_test.go"))
	require.Positive(t, last.Lineno)
	require.True(t, last.InApp)
	require.Zero(t, server.sum(t))
}

func TestSentry_AServerThatHangsDelaysNoCallerAndIsCancelledByClose(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := newSentryServer(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	reporter := server.open(t)
	reporter.sentry.limits.burst, reporter.sentry.limits.tokens = 10_000, 10_000

	// More than fit into the queue: the loop would not end if callers waited.
	for i := range 1000 {
		reporter.Unexpected(fmt.Sprintf("GET /%d", i), "", errors.New("no idea"))
	}
	started := time.Now()
	reporter.Close()

	require.Less(t, time.Since(started), 4*time.Second) // Close promises two seconds
	require.Eventually(t, func() bool { return isClosed(reporter.sentry.done) }, 10*time.Second, time.Millisecond)
	require.Equal(t, 1000.0, server.sum(t))
	require.LessOrEqual(t, server.requests(), 2)
}

func TestSentry_SendsNothingDuringRetryAfter(t *testing.T) {
	t.Parallel()
	server := newSentryServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "60")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	reporter := server.open(t)

	for i := range 5 {
		reporter.Unexpected(fmt.Sprintf("GET /%d", i), "", errors.New("no idea"))
	}
	reporter.Close()

	require.Equal(t, 1, server.requests())
	lost := reporter.sentry.lost(t)
	require.Equal(t, 1.0, lost["refused"])
	require.Equal(t, 4.0, lost["limited"])
}

func TestSentry_CountsAlertsThatAreNotDelivered(t *testing.T) {
	t.Parallel()
	broken := newSentryServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	cut := newSentryServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	away := newSentryServer(t, func(http.ResponseWriter, *http.Request) {})
	away.Close()
	for server, reason := range map[*sentryServer]string{broken: "refused", cut: "unreachable", away: "unreachable"} {
		reporter := server.open(t)

		for i := range 3 {
			reporter.Unexpected(fmt.Sprintf("GET /%d", i), "", errors.New("no idea"))
		}
		reporter.Close()

		require.Equal(t, 3.0, reporter.sentry.lost(t)[reason])
	}
}

func TestSentry_APanicLosesOneAlertOnly(t *testing.T) {
	t.Parallel()
	server := newSentryServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	reporter := server.open(t)
	reporter.sentry.wire.next = panicsOnce(reporter.sentry.wire.next)

	reporter.Unexpected("GET /1", "", errors.New("no idea"))
	reporter.Unexpected("GET /2", "", errors.New("no idea"))
	reporter.Close()

	require.Equal(t, 1.0, reporter.sentry.lost(t)["panic"])
	require.Len(t, server.events(t), 1)
}

func TestSentry_NilSendsNothing(t *testing.T) {
	t.Parallel()
	reporter, _ := newReporter(t)

	reporter.Unexpected("GET /", "", errors.New("no idea"))
	reporter.Report(Redis, "test", errors.New("OOM "))
	reporter.Close()
}

func TestOpenSentry_ErrorDoesNotContainTheDSN(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"hunter2", "https://hunter2@sentry.example", "ftp://hunter2@sentry.example/1"} {
		_, err := OpenSentry(SentryOptions{DSN: address}, prometheus.NewRegistry())

		require.ErrorContains(t, err, "it must look like https://KEY@HOST/NUMBER")
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestParseFrames_ParsesStacksOfTheRuntimeAndOfRiver(t *testing.T) {
	t.Parallel()

	frames := parseFrames(strings.Join([]string{
		"goroutine 7 [running]:",
		"runtime/debug.Stack()", "\t/go/debug/stack.go:26 +0x5e",
		"slipway/internal/web.recoverPanics.func1.1()", "\t/src/middleware.go:155 +0x5e",
		"panic({0x12?, 0x34?})", "\t/go/runtime/panic.go:792 +0x132",
		"slipway/internal/app.(*Archive).Letter(0xc000, {0x1, 0x2})", "\t/src/archive.go:40 +0x1d",
		"net/http.(*conn).serve(0xc0)", "\t/go/http/server.go:2102 +0x625",
		"created by net/http.(*Server).Serve in goroutine 1", "\t/go/http/server.go:3464 +0x485", "",
	}, "\n"))

	require.Len(t, frames, 3)
	require.Equal(t, "net/http.(*Server).Serve", frames[0].Function)
	require.Equal(t, "slipway/internal/app.(*Archive).Letter", frames[2].Function)
	require.Equal(t, "/src/archive.go", frames[2].AbsPath)
	require.Equal(t, 40, frames[2].Lineno)
	riverStack := "slipway/internal/app.work\n\t/src/jobs.go:7\nslipway/internal/jobs.run\n\t/src/pg_worker.go:127\n"
	require.Len(t, parseFrames(riverStack), 2)
	require.Empty(t, parseFrames(""))
	require.Empty(t, parseFrames("nonsense\n\n\t\n\t:\n"))
}

// Private

// newQueue returns a reporter and its Sentry, whose alerts stay in the queue.
func newQueue(t *testing.T) (*Reporter, *Sentry) {
	t.Helper()
	reporter, _ := newReporter(t)
	sentry := &Sentry{
		queue:   make(chan alert, sentryQueue),
		done:    make(chan struct{}),
		cancel:  func() {},
		dropped: newDropped(prometheus.NewRegistry()),
		limits:  newAlertLimits(),
	}
	close(sentry.done)
	reporter.SendTo(sentry)
	return reporter, sentry
}

// takeFingerprints removes the queued alerts and returns their fingerprints.
func (s *Sentry) takeFingerprints() []string {
	var fingerprints []string
	for {
		select {
		case a, open := <-s.queue:
			if !open {
				return fingerprints
			}
			fingerprints = append(fingerprints, a.fingerprint)
		default:
			return fingerprints
		}
	}
}

// lost returns the values of app_reporter_dropped_total by reason.
func (s *Sentry) lost(t *testing.T) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.dropped)
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		require.Equal(t, "app_reporter_dropped_total", family.GetName())
		for _, metric := range family.GetMetric() {
			counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
		}
	}
	return counts
}

// sentryServer is a test server in place of Sentry: it stores the envelopes and
// responds with the handler that the test passes.
type sentryServer struct {
	*httptest.Server
	sentry *Sentry

	mutex  sync.Mutex
	bodies []string
}

func newSentryServer(t *testing.T, answer http.HandlerFunc) *sentryServer {
	t.Helper()
	s := &sentryServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mutex.Lock()
		s.bodies = append(s.bodies, r.Method+" "+r.URL.Path+"\n"+string(body))
		s.mutex.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// open returns a reporter that sends its alerts to the server.
func (s *sentryServer) open(t *testing.T) *Reporter {
	t.Helper()
	reporter, _ := newReporter(t)
	sentry, err := OpenSentry(SentryOptions{
		DSN: strings.Replace(s.URL, "://", "://public-key@", 1) + "/42", Environment: "production", Release: "9f8e7d6c", Role: "web",
	}, prometheus.NewRegistry())
	require.NoError(t, err)
	reporter.SendTo(sentry)
	t.Cleanup(reporter.Close)
	s.sentry = sentry
	return reporter
}

func (s *sentryServer) requests() int {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return len(s.bodies)
}

// sum returns the number of lost alerts, for all reasons together.
func (s *sentryServer) sum(t *testing.T) float64 {
	t.Helper()
	sum := 0.0
	for _, count := range s.sentry.lost(t) {
		sum += count
	}
	return sum
}

// sentEvent is the event in an envelope.
type sentEvent struct {
	Level, Environment, Release string
	Fingerprint                 []string
	Tags                        map[string]string
	Exception                   []struct {
		Type, Value string
		Stacktrace  struct {
			Frames []struct {
				Function string
				AbsPath  string `json:"abs_path"`
				Lineno   int
				InApp    bool `json:"in_app"`
			}
		}
	}
	parts map[string]any
	text  string
}

// events parses the received envelopes: https://develop.sentry.dev/sdk/data-model/envelopes/
func (s *sentryServer) events(t *testing.T) []sentEvent {
	t.Helper()
	hostname, err := os.Hostname()
	require.NoError(t, err)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	var events []sentEvent
	for _, body := range s.bodies {
		lines := bufio.NewScanner(strings.NewReader(body))
		lines.Buffer(nil, 1<<20)
		require.True(t, lines.Scan())
		require.Equal(t, "POST /api/42/envelope/", lines.Text())
		require.True(t, lines.Scan()) // the envelope's header
		require.True(t, lines.Scan())
		require.Contains(t, lines.Text(), `"type":"event"`)
		require.True(t, lines.Scan())
		event := sentEvent{text: strings.ReplaceAll(lines.Text(), hostname, "")}
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event))
		require.NoError(t, json.Unmarshal(lines.Bytes(), &event.parts))
		events = append(events, event)
		require.False(t, lines.Scan() && lines.Text() != "", "an envelope has one event")
	}
	return events
}

func isClosed(done chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// panicsOnce returns a transport that panics on its first request.
func panicsOnce(next http.RoundTripper) http.RoundTripper {
	var once sync.Once
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		once.Do(func() { panic("a mistake") })
		return next.RoundTrip(request)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }
