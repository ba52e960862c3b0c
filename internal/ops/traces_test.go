package ops

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestTrace_ShowsAllThatOneRequestDidInEveryRole(t *testing.T) {
	t.Parallel()

	db, web, worker := pgtest.New(t, migrations), newRecorder(t, "web"), newRecorder(t, "worker-pg")
	started := time.Now()
	receipt := telemetry.Subject{ID: "r1", Kind: telemetry.JobTrace, Name: "send_receipt", Work: "pg:7", Attempt: 1}
	worker.Keep(ended(receipt, started.Add(time.Second)))
	worker.flush(t, db)
	web.Keep(ended(telemetry.Subject{ID: "r1", Kind: telemetry.RequestTrace, Name: "POST /orders"}, started))
	web.Keep(ended(telemetry.Subject{ID: "r2", Kind: telemetry.RequestTrace, Name: "GET /"}, started))
	web.flush(t, db)

	parts, err := NewReader(db).Trace(t.Context(), "r1")
	require.NoError(t, err)
	require.Len(t, parts, 2)
	require.Equal(t, []string{"web", "worker-pg"}, []string{parts[0].Role, parts[1].Role})
	require.Equal(t, "SELECT 1", parts[0].Spans[0].Name)
	require.Equal(t, int64(2000), parts[0].Spans[0].Took)

	for _, work := range []string{"pg:7", "7"} {
		found, err := NewReader(db).Trace(t.Context(), work)
		require.NoError(t, err)
		require.Equal(t, parts, found)
	}
	_, err = NewReader(db).Trace(t.Context(), "r3")
	require.ErrorIs(t, err, ErrNotFound)
}

func TestTrace_OfRecurringWorkHasWhatItEnqueued(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "worker-pg")
	r.Keep(ended(telemetry.Subject{ID: "pg:1", Kind: telemetry.JobTrace, Name: "nightly", Work: "pg:1", Attempt: 1}, time.Now()))
	r.Keep(ended(telemetry.Subject{ID: "pg:2", Kind: telemetry.JobTrace, Name: "part", Work: "pg:2", Parent: "pg:1", Attempt: 1}, time.Now()))
	r.flush(t, db)
	parts, err := NewReader(db).Trace(t.Context(), "pg:1")
	require.NoError(t, err)
	require.Len(t, parts, 2)
}

func TestTraces_AreSelected(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	failed := ended(telemetry.Subject{ID: "failed", Kind: telemetry.RequestTrace, Name: "POST /orders"}, time.Now())
	failed.Failed = true
	slow := ended(telemetry.Subject{ID: "slow", Kind: telemetry.RequestTrace, Name: "GET /search"}, time.Now())
	slow.Took = time.Minute
	r.Keep(slow)
	r.Keep(failed)
	r.Keep(ended(telemetry.Subject{ID: "job", Kind: telemetry.JobTrace, Name: "send_receipt"}, time.Now()))
	r.flush(t, db)
	for _, one := range []struct {
		query TraceQuery
		first string
		count int
	}{
		{TraceQuery{}, "job", 3},
		{TraceQuery{Failed: true}, "failed", 1},
		{TraceQuery{Slow: true}, "slow", 3},
		{TraceQuery{Kind: "job"}, "job", 1},
		{TraceQuery{Name: "SEARCH"}, "slow", 1},
		{TraceQuery{Role: "web", Name: "%"}, "", 0},
		{TraceQuery{Role: "worker-pg"}, "", 0},
	} {
		traces, err := NewReader(db).Traces(t.Context(), one.query)
		require.NoError(t, err)
		require.Len(t, traces, one.count, one.query)
		if one.count > 0 {
			require.Equal(t, one.first, traces[0].ID)
		}
	}
}

func TestTraces_OfAStormAreBounded(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	for range 10 * mostPendingTraces {
		r.Keep(ended(telemetry.Subject{ID: "a", Kind: telemetry.RequestTrace, Name: "GET /"}, time.Now()))
	}
	r.flush(t, db)
	require.Equal(t, mostPendingTraces, count(t, db, `SELECT count(*) FROM ops_traces`))
	require.InDelta(t, 9*mostPendingTraces, testutil.ToFloat64(r.dropped.WithLabelValues(droppedTraces)), 0)
}

func TestDatabase_ShowsWhatHoldsItUp(t *testing.T) {
	t.Parallel()

	db := pgtest.New(t, migrations)
	holder, err := db.Begin(t.Context())
	require.NoError(t, err)
	_, err = holder.Exec(t.Context(), `LOCK TABLE ops_errors`)
	require.NoError(t, err)
	t.Cleanup(func() { _ = holder.Rollback(context.WithoutCancel(t.Context())) })
	blocked := make(chan error, 1)
	go func() {
		_, err := db.Exec(t.Context(), `SELECT count(*), 'password=hunter2' FROM ops_errors`)
		blocked <- err
	}()
	reader := NewReader(db)
	require.Eventually(t, func() bool {
		found, err := reader.Database(t.Context())
		return err == nil && len(found.Locks) == 1 && len(found.Statements) == 2
	}, 20*time.Second, 100*time.Millisecond)
	found, err := reader.Database(t.Context())
	require.NoError(t, err)
	require.Len(t, found.Locks[0].BlockedBy, 1)
	require.NotContains(t, found.Locks[0].Text, "hunter2")
	require.Positive(t, found.Size)
	require.Positive(t, found.MaxConnections)
	require.NotEmpty(t, found.Tables)
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, <-blocked)
}

func TestTraces_ThatFailedHaveRoomInAFloodOfSampledOnes(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	for range 10 * mostPendingTraces {
		sampled := ended(telemetry.Subject{ID: "chosen", Kind: telemetry.RequestTrace, Name: "GET /"}, time.Now())
		sampled.Sampled = true
		r.Keep(sampled)
	}
	long := strings.Repeat("x", 10_000) + "\x00"
	failed := ended(telemetry.Subject{ID: long, Kind: telemetry.RequestTrace, Name: "POST /orders"}, time.Now())
	failed.Failed = true
	r.Keep(failed)
	r.flush(t, db)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM ops_traces WHERE failed`))
}

func TestDatabase_ShowsNoLiteralsOfOtherPrograms(t *testing.T) {
	t.Parallel()

	for _, one := range []struct{ program, sql, shown string }{
		{"psql", "ALTER ROLE app PASSWORD 'hunter2'", "ALTER ROLE app PASSWORD ***"},
		{"psql", "SELECT $$hunter2$$", "SELECT ***"},
		{"psql", "VACUUM\n  orders", "VACUUM orders"},
		{"app web", "SELECT id FROM orders WHERE state = 'paid' AND id = $1", "SELECT id FROM orders WHERE state = 'paid' AND id = $1"},
	} {
		require.Equal(t, one.shown, shownStatement(one.program, one.sql))
	}
}

// Private

func ended(subject telemetry.Subject, started time.Time) telemetry.Ended {
	return telemetry.Ended{
		Subject: subject, Started: started, Took: 5 * time.Millisecond, Outcome: "200",
		Spans: []telemetry.Span{{Kind: telemetry.SQLSpan, Name: "SELECT\n\t1", After: time.Millisecond, Took: 2 * time.Millisecond}},
	}
}
