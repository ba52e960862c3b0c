package telemetry

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"slipway/internal/devstack/stacktest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

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

// sentryServer is a test server in place of Sentry, and the sender that open
// connected to it.
type sentryServer struct {
	*stacktest.Sentry
	sentry *Sentry
}

func newSentryServer(t *testing.T, reply http.HandlerFunc) *sentryServer {
	t.Helper()
	return &sentryServer{Sentry: stacktest.StartSentryWith(t, reply)}
}

// open returns a reporter that sends its alerts to the server.
func (s *sentryServer) open(t *testing.T) *Reporter {
	t.Helper()
	reporter, _ := newReporter(t)
	sentry, err := OpenSentry(SentryOptions{
		DSN: s.DSN, Environment: "production", Release: "9f8e7d6c", Role: "web",
	}, prometheus.NewRegistry())
	require.NoError(t, err)
	reporter.SendTo(sentry)
	t.Cleanup(reporter.Close)
	s.sentry = sentry
	return reporter
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
	var events []sentEvent
	for _, body := range s.Requests() {
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

// refusedLine is the log line of a call from Hub.listen that Redis refused.
const refusedLine = `level=WARN msg="Backend call failed" backend=redis source=Hub.listen class=refused error="connection refused"`

func newReporter(t *testing.T) (*Reporter, *stacktest.Journal) {
	t.Helper()
	log := &stacktest.Journal{}
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
