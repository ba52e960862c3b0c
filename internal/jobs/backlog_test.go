package jobs

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/postgres/pgtest"
)

func TestBacklog_NamesQueuesThatWaitForTooLong(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	server := stacktest.Redis(t)
	guard := failopen.NewGuard(failopen.Options{URL: server.URL(), Timeout: time.Second}, newReporter())
	registry := prometheus.NewRegistry()
	backlog := NewBacklog(5*time.Minute, registry)
	backlog.Jobs(db)
	require.NoError(t, backlog.Tasks(guard, StandardQueues))
	t.Cleanup(func() { require.NoError(t, backlog.Close()) })
	require.NoError(t, backlog.Check(t.Context()))
	insert := func(state, scheduled string) {
		_, err := db.Exec(t.Context(), `
			INSERT INTO river_job (args, kind, max_attempts, state, scheduled_at)
			VALUES ('{}', 'thing', 3, $1::river_job_state, now() + $2::interval)`, state, scheduled)
		require.NoError(t, err)
	}

	insert("available", "-1 minute")
	insert("available", "1 minute") // due by the clock of another machine
	insert("scheduled", "-1 hour")  // River makes it available later
	require.NoError(t, backlog.Check(t.Context()))
	depths := map[string]float64{"pg default": 2, "redis critical": 0, "redis default": 0, "redis low": 0}
	require.Equal(t, depths, gauges(t, registry, "app_queue_depth"))
	require.InDelta(t, 60, gauges(t, registry, "app_queue_oldest_seconds")["pg default"], 30)

	insert("available", "-10 minutes")
	require.ErrorContains(t, backlog.Check(t.Context()), "3 jobs wait in queue default, the oldest for 10m")
	_, err := db.Exec(t.Context(), `DELETE FROM river_job`)
	require.NoError(t, err)
	require.NoError(t, backlog.Check(t.Context()))
	require.NotContains(t, gauges(t, registry, "app_queue_depth"), "pg default")

	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	enqueuer := asynq.NewClientFromRedisClient(client)
	_, err = enqueuer.Enqueue(asynq.NewTask("thing", nil))
	require.NoError(t, err)
	require.NoError(t, client.FlushAll(t.Context()).Err()) // the enqueuer does not add the queue again
	info, err := enqueuer.Enqueue(asynq.NewTask("thing", nil))
	require.NoError(t, err)
	require.NoError(t, backlog.Check(t.Context()))
	require.Equal(t, map[string]float64{"redis critical": 0, "redis default": 1, "redis low": 0}, gauges(t, registry, "app_queue_depth"))
	require.NoError(t, client.HSet(t.Context(), "asynq:{default}:t:"+info.ID, "pending_since", time.Now().Add(-time.Hour).UnixNano()).Err())
	require.ErrorContains(t, backlog.Check(t.Context()), "1 tasks wait in queue default, the oldest for 1h0m0s")

	require.NoError(t, server.Kill())
	require.ErrorContains(t, backlog.Check(t.Context()), "tasks: Redis is unavailable, so their number is unknown")
	require.Empty(t, gauges(t, registry, "app_queue_depth"), "an old number is not exported")
}

func TestBacklog_NeedsNoRedis(t *testing.T) {
	t.Parallel()
	backlog := NewBacklog(time.Minute, prometheus.NewRegistry())
	require.NoError(t, backlog.Tasks(failopen.NewGuard(failopen.Options{}, newReporter()), StandardQueues))

	require.NoError(t, backlog.Check(t.Context()))
	require.NoError(t, backlog.Close())
}

// Private

// gauges are the values of a gauge by its labels, joined by spaces.
func gauges(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			values[metric.GetLabel()[0].GetValue()+" "+metric.GetLabel()[1].GetValue()] = metric.GetGauge().GetValue()
		}
	}
	return values
}
