package ops

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestErrors_AreGroupedByTheirCause(t *testing.T) {
	t.Parallel()

	db, one, two := pgtest.New(t, migrations), newRecorder(t, "web"), newRecorder(t, "worker-pg")
	for i := range 3 {
		one.reporter.Unexpected("GET /items/:id", fmt.Sprintf("request-%d", i), fmt.Errorf("read item %d: no such row", i))
	}
	two.reporter.Unexpected("job send_receipt", "pg:7", telemetry.Recovered("nil map"))
	one.flush(t, db)
	two.flush(t, db)
	one.reporter.Unexpected("GET /items/:id", "request-9", errors.New("read item 9: no such row"))
	one.flush(t, db)

	groups, err := NewReader(db).Errors(t.Context(), OpenErrors, 200)
	require.NoError(t, err)
	require.Len(t, groups, 2)
	last, panicked := groups[0], groups[1]
	require.Equal(t, int64(4), last.Count)
	require.Equal(t, "GET /items/:id", last.Source)
	require.Equal(t, "read item 9: no such row", last.Message)
	require.Equal(t, "request-9", last.Trace)
	require.True(t, last.First.Before(last.Last))
	require.Equal(t, "panic", panicked.Title)
	require.Equal(t, "worker-pg", panicked.Role)
	require.Contains(t, panicked.Stack, "TestErrors_AreGroupedByTheirCause")
}

func TestErrors_AreResolvedAndComeBack(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	reader := NewReader(db)
	happen := func() {
		r.reporter.Unexpected("GET /", "", errors.New("no"))
		r.flush(t, db)
	}
	happen()
	open, err := reader.Errors(t.Context(), OpenErrors, 200)
	require.NoError(t, err)
	id := open[0].ID
	require.NoError(t, reader.Resolve(t.Context(), id, "ann"))
	require.NoError(t, reader.Resolve(t.Context(), id, "bob"))
	resolved, err := reader.Error(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "ann", resolved.ResolvedBy, "who was first")
	count, err := reader.CountErrors(t.Context())
	require.NoError(t, err)
	require.Zero(t, count)

	happen()
	again, err := reader.Error(t.Context(), id)
	require.NoError(t, err)
	require.Nil(t, again.ResolvedAt)
	require.NotNil(t, again.ReopenedAt)
	require.Equal(t, int64(2), again.Count)
	require.NoError(t, reader.Resolve(t.Context(), id, "ann"))
	require.NoError(t, reader.Reopen(t.Context(), id))

	for _, unknown := range []string{"", "0123", "' OR true --"} {
		require.ErrorIs(t, reader.Resolve(t.Context(), unknown, "ann"), ErrNotFound)
		_, err := reader.Error(t.Context(), unknown)
		require.ErrorIs(t, err, ErrNotFound)
	}
}

func TestErrors_HaveNoSecretsAndAreBounded(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	r.reporter.Unexpected("GET /", "", errors.New("open postgres://app:hunter2@db/app for ann@example.com from 192.0.2.7 \x00\x1b[31m"+
		strings.Repeat("x", 1<<20)))
	r.flush(t, db)
	groups, err := NewReader(db).Errors(t.Context(), OpenErrors, 200)
	require.NoError(t, err)
	message := groups[0].Message
	require.Less(t, len(message), 4<<10)
	for _, secret := range []string{"hunter2", "ann@example.com", "192.0.2.7", "\x1b"} {
		require.NotContains(t, message, secret)
	}
}

func TestErrors_WaitForADatabaseThatCannotTakeThem(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	execute(t, db, `ALTER TABLE ops_errors RENAME TO gone`)
	r.reporter.Unexpected("GET /", "a", errors.New("no"))
	require.Error(t, r.Flush(t.Context(), db))
	r.reporter.Unexpected("GET /", "b", errors.New("no"))
	execute(t, db, `ALTER TABLE gone RENAME TO ops_errors`)
	r.flush(t, db)
	groups, err := NewReader(db).Errors(t.Context(), OpenErrors, 200)
	require.NoError(t, err)
	require.Equal(t, int64(2), groups[0].Count)
	require.Equal(t, "b", groups[0].Trace)
}
