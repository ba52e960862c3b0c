package taskqueue

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

func TestServers_AnOutageDoesNotFloodTheLog(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	log := &stacktest.Journal{}
	reporter := telemetry.NewReporter(log.Logger(), prometheus.NewRegistry())
	servers, err := NewServers(queues, ServersOptions{
		URL: server.URL(), PoolSize: 10, Servers: 1, Concurrency: 5, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Second,
		Reporter: reporter,
	})
	require.NoError(t, err)
	require.NoError(t, servers.Start())

	require.NoError(t, server.Kill())
	stacktest.Eventually(t, func() bool {
		return strings.Contains(log.String(), "backend=redis source=asynq.Server class=refused ")
	})
	for range 200 {
		asynqLog{reporter}.Error("could not dequeue: dial tcp 127.0.0.1:1: connect: connection refused")
	}
	require.Equal(t, 1, strings.Count(log.String(), "backend=redis source=asynq.Server class=refused "))
	require.NoError(t, server.Restart(t.Context()))
	servers.StopLongPoll()
	servers.Shutdown()
	require.NoError(t, servers.Close())
	reporter.Close()

	require.Regexp(t, `backend=redis source=asynq.Server class=refused .* suppressed=2\d\d `, log.String())
}

// A worker that comes back after a crash of Redis, or of another worker, finds
// tasks whose leases have expired.
func TestServers_ALostLeaseUsesUpNoAttempt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	client := stacktest.RedisClient(t, server)
	enqueueWaves(t, newTaskClient(t, server), "ada")
	lost := take(t, client, time.Now().Add(-time.Hour))
	runs := make(chan Run, 10)
	servers, err := NewServers(queues, ServersOptions{
		URL: server.URL(), PoolSize: 10, Servers: 1, Concurrency: 5, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Second,
		Work:    func(_ context.Context, run Run) error { runs <- run; return nil },
		Backoff: func(string, int, error) time.Duration { return time.Hour }, // only a lost lease has no backoff
		Failed:  func(context.Context, Failure) {}, Reporter: newReporter(),
	})
	require.NoError(t, err)

	require.NoError(t, servers.Start())
	run := receive(t, runs)
	servers.StopLongPoll()
	servers.Shutdown()
	require.NoError(t, servers.Close())

	require.Equal(t, lost, run.ID)
	require.Zero(t, run.Retries)
}

// The message of a cancellation is lost when it is published while the worker's
// subscription is not there: as it starts, or after its connection broke.
func TestServers_ACancellationThatNobodyHeardIsRepeated(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	a := install(t, server, "slipway:a")
	a.enqueue(t, "unheard")
	a.serve(t, server, "slipway:a")
	receive(t, a.runs)

	require.NoError(t, a.inspector.cancellations.Mark(t.Context(), "unheard"))

	require.ErrorIs(t, receive(t, a.ended), context.Canceled)
}
