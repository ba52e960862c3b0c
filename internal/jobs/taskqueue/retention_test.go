package taskqueue

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestReaper_DeletesOldTasksForGood(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks := newTaskClient(t, server)
	client := stacktest.RedisClient(t, server)
	db := pgtest.New(t, migrations)
	reaper := newReaper(client, "", queues, &FailedTasks{db}, slog.New(slog.DiscardHandler), newReporter())
	enqueueWaves(t, tasks, "ada", "bob", "cyd")
	ids := client.LRange(t.Context(), "asynq:{default}:pending", 0, -1).Val()
	for _, id := range ids {
		require.NoError(t, reaper.inspector.ArchiveTask("default", id))
	}
	require.NoError(t, reaper.copyArchived(t.Context(), "default"))
	_, err := db.Exec(t.Context(), `
		UPDATE failed_tasks SET failed_at = now() - interval '8 days', cancelled = id = $2 WHERE id IN ($1, $2)`, ids[0], ids[1])
	require.NoError(t, err)

	reaper.retention = Retention{Cancelled: 7 * 24 * time.Hour}
	require.NoError(t, reaper.prune(t.Context()))
	require.NoError(t, reaper.copyArchived(t.Context(), "default"))
	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM failed_tasks`), "without the cancelled one")

	deleted, err := reaper.Trim(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, 1, deleted)
	require.NoError(t, reaper.copyArchived(t.Context(), "default"))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE failed_at > now() - interval '1 hour'`), "the newest")
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks`))
}

func TestReaper_PausesAQueueAgainWhenRedisLostThePause(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	client := stacktest.RedisClient(t, server)
	failed := &FailedTasks{pgtest.New(t, migrations)}
	inspector := NewInspector(newTaskClient(t, server), failed, nil)
	reaper := newReaper(client, "", queues, failed, slog.New(slog.DiscardHandler), newReporter())
	paused := func() int64 { return client.Exists(t.Context(), "asynq:{low}:paused").Val() }
	require.NoError(t, inspector.Pause(t.Context(), "low"))

	require.NoError(t, client.FlushDB(t.Context()).Err())
	require.NoError(t, reaper.pauseAgain(t.Context()))
	require.EqualValues(t, 1, paused())

	require.NoError(t, inspector.Resume(t.Context(), "low"))
	require.NoError(t, reaper.pauseAgain(t.Context()))
	require.Zero(t, paused())
	require.NoError(t, server.Kill())
	require.Error(t, inspector.Pause(t.Context(), "low"))
	require.Zero(t, count(t, failed.db, `SELECT count(*) FROM paused_task_queues`), "a pause that failed is not stored")
}
