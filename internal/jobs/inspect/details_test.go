package inspect

import (
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
)

func TestShow_ReturnsTheDetailsOfAJob(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, max_attempts, tags, unique_key, metadata) VALUES ('mail', '{}', 5, '{weekly}', '\x01',
			'{"slipway:request": "r-1", "slipway:parent": "redis:low:a:b", "slipway:batch": "12", "token": "hunter2", "big": 9007199254740993,
			  "slipway:expires_at": "2026-12-01T00:00:00Z"}'),
			('mail', '{}', 5, '{}', NULL, '{"slipway:request": "r-2"}')`)
	s.execute(t, `INSERT INTO key_waiters (backend, work_id, key, lock, slots, queue, priority, enqueued_at, number)
		VALUES ('pg', '1', 'store:7', 1, 1, 'default', 1, now(), 1)`)

	item, err := s.inspector.Show(t.Context(), ID{Backend: jobs.PG, Job: 1})

	require.NoError(t, err)
	require.Equal(t, []string{"weekly"}, item.Tags)
	require.Equal(t, []string{"r-1", "redis:low:a:b", "12", "store:7"}, []string{item.RequestID, item.Parent, item.Batch, item.LimitKey})
	require.True(t, item.Unique)
	require.True(t, item.LimitWaits)
	require.Equal(t, 2026, item.ExpiresAt.Year())
	require.Contains(t, string(item.Metadata), "9007199254740993")
	require.NotContains(t, string(item.Metadata), "hunter2")
	caused, err := s.inspector.CausedBy(t.Context(), ID{Backend: jobs.Redis, Queue: "low", Task: "a:b"})
	require.NoError(t, err)
	require.Len(t, caused, 1)
	caused, err = s.inspector.CausedByRequest(t.Context(), "r-2")
	require.NoError(t, err)
	require.Len(t, caused, 1)
	require.Equal(t, "pg:2", caused[0].ID.String())
}
