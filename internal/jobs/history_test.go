package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres/pgtest"
)

func TestPGWorker_RecordsRuns(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	worker := startPGWorker(t, db, time.Second, func(_ context.Context, args greetArgs) error {
		if args.Name == "eve" {
			return Permanent(errors.New("not her"))
		}
		return nil
	})
	execute(t, db, `
		INSERT INTO river_job (kind, args, max_attempts, scheduled_at)
		SELECT 'greet', jsonb_build_object('name', name), 3, now() - interval '1 minute' FROM unnest(ARRAY['ada', 'eve']) AS name`)

	stacktest.Eventually(t, func() bool { return strings.Count(worker.log.String(), "kind=greet") == 2 })

	recorded := recordedBy(t, worker.recorder, db, "greet")
	require.Equal(t, "pg default", recorded.Backend+" "+recorded.Queue)
	require.EqualValues(t, 1, recorded.Done)
	require.EqualValues(t, 1, recorded.Failed)
	require.EqualValues(t, 2, recorded.Wait.Count)
	require.InDelta(t, time.Minute, recorded.Wait.P50, float64(20*time.Second))
}

func TestRedisWorker_RecordsRuns(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worker := startRedisWorker(t, server.URL(), time.Second, func(context.Context, waveTask) error { return nil })
	tasks, _ := newTasks(t, server.URL())
	now := time.Now()
	sent := tasks.client.Enqueue(t.Context(), "test",
		taskqueue.Message{
			Kind: "wave", Args: []byte(`{}`), Queue: "default", Attempts: 1, Timeout: time.Minute,
			EnqueuedAt: now.Add(-time.Hour), NotBefore: now.Add(-time.Minute),
		},
		taskqueue.Message{ // by a clock that is ahead
			Kind: "wave_once", Args: []byte(`{}`), Queue: "low", Attempts: 1, Timeout: time.Minute, EnqueuedAt: now.Add(time.Hour),
		},
		taskqueue.Message{Kind: "wave_once", Args: []byte(`{}`), Queue: "low", Attempts: 1, Timeout: time.Minute}, // of an older release
	)
	require.Equal(t, []taskqueue.Outcome{"ok", "ok", "ok"}, sent)

	stacktest.Eventually(t, func() bool { return strings.Count(worker.log.String(), "kind=wave") == 3 })

	recorded := recordedBy(t, worker.recorder, worker.db, "wave")
	require.Equal(t, "redis default", recorded.Backend+" "+recorded.Queue)
	require.EqualValues(t, 1, recorded.Done)
	require.InDelta(t, time.Minute, recorded.Wait.P50, float64(20*time.Second))
	once := recordedBy(t, worker.recorder, worker.db, "wave_once")
	require.EqualValues(t, 2, once.Failed)
	require.EqualValues(t, 1, once.Wait.Count)
	require.Zero(t, once.Wait.Mean)
}

// Private

// recordedBy stores what a recorder has collected, and returns the figures of a kind.
func recordedBy(t *testing.T, recorder *history.Recorder, db *pgxpool.Pool, kind string) history.KindFigures {
	t.Helper()
	ended, end := context.WithCancel(t.Context())
	end()
	require.NoError(t, recorder.Run(ended, nil))
	kinds, err := history.New(db).ByKind(t.Context(), history.Query{Kind: kind})
	require.NoError(t, err)
	require.Len(t, kinds, 1)
	return kinds[0]
}
