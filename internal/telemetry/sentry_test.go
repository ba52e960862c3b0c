package telemetry

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/internal/devstack/stacktest"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestSentry_ReceivesTheErrorAndItsPlaceWithoutPersonalData(t *testing.T) {
	t.Parallel()
	server := newSentryServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	reporter := server.open(t)

	reporter.Report(Redis, "Tasks.Enqueue", errors.New("WRONGPASS for redis://app:hunter2@10.1.2.3:6379"))
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
	stacktest.Eventually(t, func() bool { return isClosed(reporter.sentry.done) })
	require.Equal(t, 1000.0, server.sum(t))
	require.LessOrEqual(t, len(server.Requests()), 2)
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

	require.Len(t, server.Requests(), 1)
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
