package taskqueue

import (
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
