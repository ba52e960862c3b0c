package jobs

import (
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/jobs/history"
	"slipway/internal/postgres/pgtest"
)

func TestBacklog_NamesQueuesThatWaitForTooLong(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	server := stacktest.Redis(t)
	guard := failopen.NewGuard(failopen.Options{URL: server.URL(), Timeout: time.Second}, newReporter())
	registry := prometheus.NewRegistry()
	backlog := NewBacklog(5*time.Minute, registry, PG, Redis)
	backlog.Jobs(db, Queues{Default})
	require.NoError(t, backlog.Tasks(db, guard, StandardQueues))
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
	require.Equal(t, depths, pendingBy(t, registry))
	require.InDelta(t, 60, gauges(t, registry, "app_jobs_latency_seconds")["pg default"], 30)

	insert("available", "-10 minutes")
	require.ErrorContains(t, backlog.Check(t.Context()), "3 jobs wait in queue default, the oldest for 10m")
	require.True(t, backlog.Late())
	_, err := db.Exec(t.Context(), `DELETE FROM river_job`)
	require.NoError(t, err)
	require.NoError(t, backlog.Check(t.Context()))
	require.Zero(t, pendingBy(t, registry)["pg default"])

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
	require.Equal(t, map[string]float64{"pg default": 0, "redis critical": 0, "redis default": 1, "redis low": 0}, pendingBy(t, registry))
	require.NoError(t, client.HSet(t.Context(), "asynq:{default}:t:"+info.ID, "pending_since", time.Now().Add(-time.Hour).UnixNano()).Err())
	require.ErrorContains(t, backlog.Check(t.Context()), "1 tasks wait in queue default, the oldest for 1h0m0s")

	require.NoError(t, server.Kill())
	require.ErrorContains(t, backlog.Check(t.Context()), "tasks: Redis is unavailable, so their number is unknown")
	require.False(t, backlog.Late(), "nobody knows")
	require.Equal(t, map[string]float64{"pg default": 0}, pendingBy(t, registry), "an old number is not exported")
	require.Equal(t, map[string]float64{"pg": 1, "redis": 0}, gauges(t, registry, "app_jobs_backend_up"))
	require.Len(t, gauges(t, registry, "app_jobs_sample_age_seconds"), 2)
	require.Len(t, backlog.Depths(), 1)
}

func TestBacklog_JudgesOnlyItsBackends(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	guard := failopen.NewGuard(failopen.Options{URL: server.URL(), Timeout: time.Second}, newReporter())
	registry := prometheus.NewRegistry()
	backlog := NewBacklog(time.Minute, registry, PG)
	require.NoError(t, backlog.Tasks(pgtest.New(t, migrations), guard, StandardQueues))
	t.Cleanup(func() { require.NoError(t, backlog.Close()) })
	require.NoError(t, server.Kill())

	require.NoError(t, backlog.Check(t.Context()))

	require.Equal(t, map[string]float64{"redis": 0}, gauges(t, registry, "app_jobs_backend_up"))
}

func TestBacklog_CountsEveryState(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	registry := prometheus.NewRegistry()
	backlog := NewBacklog(time.Minute, registry, PG)
	backlog.Jobs(db, Queues{Default})
	execute(t, db, `
		INSERT INTO river_job (args, kind, max_attempts, state, queue, finalized_at)
		SELECT '{}', 'thing', 3, state, 'odd', CASE WHEN state IN ('cancelled', 'completed', 'discarded') THEN now() END
		FROM unnest(enum_range(NULL::river_job_state)) AS state`)
	execute(t, db, `INSERT INTO river_job (args, kind, max_attempts, state) VALUES ('{}', '`+OutboxKind+`', 3, 'scheduled')`)
	execute(t, db, `
		INSERT INTO job_processes (id, backend, host, pid, version, queues, concurrency, state, beat_at)
		VALUES ('a', 'pg', 'h', 1, 'v', '{}', 1, 'working', now()), ('b', 'pg', 'h', 2, 'v', '{}', 1, 'working', now() - interval '1 minute'),
		       ('c', 'redis', 'h', 3, 'v', '{}', 1, 'quiet', now())`)

	require.NoError(t, backlog.Check(t.Context()))

	require.Equal(t, map[string]float64{
		"pg default cancelled": 0, "pg default failed": 0, "pg default pending": 0, "pg default retrying": 0, "pg default running": 0,
		"pg default scheduled": 1, "pg odd cancelled": 1, "pg odd failed": 1, "pg odd pending": 1, "pg odd retrying": 1, "pg odd running": 1,
		"pg odd scheduled": 2,
	}, gauges(t, registry, "app_jobs_depth"))
	require.Equal(t, map[string]float64{"": 1}, gauges(t, registry, "app_jobs_outbox_depth"))
	require.Equal(t, map[string]float64{
		"pg working": 1, "pg quiet": 0, "pg stopping": 0, "pg dead": 1, "redis quiet": 1,
	}, gauges(t, registry, "app_jobs_workers"))
}

func TestBacklog_NeedsNoRedis(t *testing.T) {
	t.Parallel()
	backlog := NewBacklog(time.Minute, prometheus.NewRegistry())
	require.NoError(t, backlog.Tasks(nil, failopen.NewGuard(failopen.Options{}, newReporter()), StandardQueues))

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
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, label.GetValue())
			}
			values[strings.Join(labels, " ")] = metric.GetGauge().GetValue()
		}
	}
	return values
}

// pendingBy is the exported depth of pending work by backend and queue.
func pendingBy(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	pending := map[string]float64{}
	for labels, value := range gauges(t, registry, "app_jobs_depth") {
		if queue, is := strings.CutSuffix(labels, " "+history.Pending); is {
			pending[queue] = value
		}
	}
	return pending
}
