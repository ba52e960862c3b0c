package taskqueue

import (
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestReaper_ReturnsLostTasks(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	reaper := newReaper(client, "", queues, &FailedTasks{pgtest.New(t, migrations)}, slog.New(slog.DiscardHandler), newReporter())
	reaper.unleasedGrace = 0
	enqueueWaves(t, tasks, "ada", "bob", "cyd")
	expired := take(t, client, time.Now().Add(-time.Hour))
	alive := take(t, client, time.Now().Add(time.Hour))
	unleased := take(t, client, time.Time{})

	require.NoError(t, reaper.reap(t.Context(), "default")) // sees the task without a lease for the first time
	require.NoError(t, reaper.reap(t.Context(), "default"))

	require.Equal(t, []string{alive}, client.LRange(t.Context(), "asynq:{default}:active", 0, -1).Val())
	require.ElementsMatch(t, []string{expired, unleased}, client.LRange(t.Context(), "asynq:{default}:pending", 0, -1).Val())
	info, err := reaper.inspector.GetTaskInfo("default", expired)
	require.NoError(t, err)
	require.Zero(t, info.Retried)
	require.Empty(t, reaper.unleased)
}

func TestReaper_WaitsAMinuteForALease(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	reaper := newReaper(client, "", queues, nil, slog.New(slog.DiscardHandler), newReporter())
	enqueueWaves(t, tasks, "ada")
	id := take(t, client, time.Time{})
	lostAfter := func(seen time.Duration) []string {
		reaper.unleased[unleasedName("default", id)] = time.Now().Add(-seen)
		lost, err := reaper.lost(t.Context(), "default")
		require.NoError(t, err)
		return lost
	}

	require.Empty(t, lostAfter(0))
	require.Empty(t, lostAfter(50*time.Second), "asynq gives a task its lease within moments, also on a busy machine")
	require.Equal(t, []string{id}, lostAfter(61*time.Second), "a task without a lease is returned by nobody else")
}

func TestReaper_WaitsAQuarterOfAMinuteAfterALease(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	reaper := newReaper(client, "", queues, nil, slog.New(slog.DiscardHandler), newReporter())
	enqueueWaves(t, tasks, "ada", "bob", "cyd")
	take(t, client, time.Now().Add(30*time.Second))
	take(t, client, time.Now().Add(-10*time.Second))
	late := take(t, client, time.Now().Add(-17*time.Second))

	lost, err := reaper.lost(t.Context(), "default")

	require.NoError(t, err)
	require.Equal(t, []string{late}, lost)
}

func TestReaper_LeavesATaskWhoseLeaseWasExtendedMeanwhile(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	reaper := newReaper(client, "", queues, nil, slog.New(slog.DiscardHandler), newReporter())
	enqueueWaves(t, tasks, "ada", "bob")
	dead := take(t, client, time.Now().Add(-time.Hour))
	slow := take(t, client, time.Now().Add(-time.Hour))
	lost, err := reaper.lost(t.Context(), "default")
	require.NoError(t, err)
	require.ElementsMatch(t, []string{dead, slow}, lost)
	extended := redis.Z{Score: float64(time.Now().Add(30 * time.Second).Unix()), Member: slow}
	require.NoError(t, client.ZAdd(t.Context(), "asynq:{default}:lease", extended).Err())

	require.NoError(t, reaper.giveBack(t.Context(), "default", lost))

	require.Equal(t, []string{dead}, client.LRange(t.Context(), "asynq:{default}:pending", 0, -1).Val())
	require.Equal(t, []string{slow}, client.LRange(t.Context(), "asynq:{default}:active", 0, -1).Val())
}

func TestReaper_ArchivesATaskThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	db := pgtest.New(t, migrations)
	reporter, sent := sentryReporter(t)
	reaper := newReaper(client, "", queues, &FailedTasks{db}, slog.New(slog.DiscardHandler), reporter)
	enqueueWaves(t, tasks, "eve")

	for range FreeCrashes {
		take(t, client, time.Now().Add(-time.Hour))
		require.NoError(t, reaper.reap(t.Context(), "default"))
	}
	id := take(t, client, time.Now().Add(-time.Hour))
	require.Empty(t, sent.Requests())
	for range 2 {
		require.NoError(t, reaper.reap(t.Context(), "default"))
	}
	require.NoError(t, reaper.copyArchived(t.Context(), "default"))

	info, err := reaper.inspector.GetQueueInfo("default")
	require.NoError(t, err)
	require.Equal(t, 1, info.Archived)
	require.Zero(t, info.Pending+info.Active)
	require.Equal(t, 1, count(t, db, `
		SELECT count(*) FROM failed_tasks
		WHERE kind = 'wave' AND args->>'name' = 'eve' AND error LIKE 'the worker died 6 times%'`))
	reporter.Close()
	body := sent.Await(t, 1)
	require.Contains(t, body, `"source":"task wave"`)
	require.Contains(t, body, `"id":"`+id+`"`)
	require.Contains(t, body, "the worker died 6 times")
	require.Len(t, sent.Requests(), 1)
}

func TestReaper_CopiesTheNewestFailureBehindThousandsOfOthers(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	db := pgtest.New(t, migrations)
	reaper := newReaper(client, "", queues, &FailedTasks{db}, slog.New(slog.DiscardHandler), newReporter())
	fail := func(name string) {
		enqueueWaves(t, tasks, name)
		_, err := reaper.inspector.ArchiveAllPendingTasks("default")
		require.NoError(t, err)
	}
	for n := range 1100 {
		fail(strconv.Itoa(n))
	}
	require.NoError(t, reaper.copyArchived(t.Context(), "default"))
	require.Equal(t, 1100, count(t, db, `SELECT count(*) FROM failed_tasks`))

	fail("the last")
	require.NoError(t, reaper.copyArchived(t.Context(), "default"))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE args->>'name' = 'the last'`))
}

func TestReaper_StoresACancelledTaskAsCancelled(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	db := pgtest.New(t, migrations)
	reaper := newReaper(client, "", queues, &FailedTasks{db}, slog.New(slog.DiscardHandler), newReporter())
	enqueueWaves(t, tasks, "ada")
	pending, err := reaper.inspector.ListPendingTasks("default")
	require.NoError(t, err)
	require.NoError(t, reaper.cancellations.Mark(t.Context(), pending[0].ID))
	require.NoError(t, reaper.inspector.ArchiveTask("default", pending[0].ID)) // and the process that cancels it dies here

	require.NoError(t, reaper.copyArchived(t.Context(), "default"))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE cancelled AND error = 'cancelled'`))
}

// Private

// take makes the next task active, as asynq does, with a lease unless until is zero.
func take(t *testing.T, client *redis.Client, until time.Time) (id string) {
	t.Helper()
	id, err := client.LMove(t.Context(), "asynq:{default}:pending", "asynq:{default}:active", "RIGHT", "LEFT").Result()
	require.NoError(t, err)
	require.NoError(t, client.HSet(t.Context(), "asynq:{default}:t:"+id, "state", "active").Err())
	if !until.IsZero() {
		require.NoError(t, client.ZAdd(t.Context(), "asynq:{default}:lease", redis.Z{Score: float64(until.Unix()), Member: id}).Err())
	}
	return id
}

// sentryReporter returns a reporter and the Sentry to which it sends.
func sentryReporter(t *testing.T) (*telemetry.Reporter, *stacktest.Sentry) {
	t.Helper()
	server := stacktest.StartSentry(t)
	sentry, err := telemetry.OpenSentry(telemetry.SentryOptions{DSN: server.DSN}, prometheus.NewRegistry())
	require.NoError(t, err)
	reporter := newReporter()
	reporter.SendTo(sentry)
	t.Cleanup(reporter.Close)
	return reporter, server
}
