package failopen

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/telemetry"
)

// timeout is the timeout of one call in tests. It is longer than in production,
// because tests share their machine.
const timeout = 500 * time.Millisecond

func TestMain(m *testing.M) {
	LogThrough(func(string, error) {})
	m.Run()
}

// open opens the guarded Redis at address, with the prober running.
func open(t testing.TB, address string) *Redis {
	t.Helper()
	return openProbed(t, address, io.Discard)
}

// openProbed is open with a log.
func openProbed(t testing.TB, address string, log io.Writer) *Redis {
	t.Helper()
	r := openWithoutProber(t, address, log)
	probe(t, r)
	return r
}

// probe runs the prober until the test ends.
func probe(t testing.TB, r *Redis) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var prober sync.WaitGroup
	prober.Go(func() { _ = r.guard.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		prober.Wait()
	})
}

func openWithoutProber(t testing.TB, address string, log io.Writer) *Redis {
	t.Helper()
	reporter := telemetry.NewReporter(slog.New(slog.NewTextHandler(log, nil)), prometheus.NewRegistry())
	r, err := Open(NewGuard(Options{URL: address, Timeout: timeout}, reporter))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// addressOf is the host and port of a URL.
func addressOf(t testing.TB, address string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	return parsed.Host
}

func withPassword(t testing.TB, address, password string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	parsed.User = url.UserPassword("default", password)
	return parsed.String()
}

// isOpen reports whether calls are refused.
func isOpen(r *Redis) bool {
	return r.guard.Status().Open
}

// breakOpen makes calls until the guard refuses them.
func breakOpen(t testing.TB, r *Redis) {
	t.Helper()
	for range 3 {
		require.False(t, isOpen(r))
		require.False(t, r.Ping(t.Context(), "test"))
	}
	require.True(t, isOpen(r))
}
