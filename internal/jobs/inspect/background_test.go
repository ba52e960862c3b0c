package inspect

import (
	"context"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
)

func TestStart_DoesABulkActionInTheBackground(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.failMany(t, 1203)

	id, err := s.inspector.Start(t.Context(), "ann", Bulk{Action: Retry, Filter: Filter{Kind: "mail"}})
	require.NoError(t, err)
	waiting, err := s.inspector.Action(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, ActionWaiting, waiting.Outcome)
	require.Equal(t, 1203, waiting.Asked)
	require.Equal(t, "kind:mail", waiting.Subject)
	s.runActions(t)

	done := s.awaitAction(t, id, ActionDone)
	require.Equal(t, 1203, done.Report.Done)
	require.Equal(t, 1203, done.Report.Taken)
	require.Equal(t, "ann", done.Actor)
	require.Len(t, s.all(t, Filter{State: Pending, Kind: "mail"}), 1203)
	require.Len(t, s.all(t, Filter{State: Failed}), 1203, "those of the other kind")
}

func TestStart_GoesOnWhereADeadWorkerStopped(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.failMany(t, 1203)
	id, err := s.inspector.Start(t.Context(), "ann", Bulk{Action: Retry})
	require.NoError(t, err)
	var stored, place []byte
	var report Report
	err = s.db.QueryRow(t.Context(), `
		UPDATE operator_actions SET outcome = 'running', runner = 'dead', beat_at = now(), started_at = now()
		RETURNING bulk, place, report`).Scan(&stored, &place, &report)
	require.NoError(t, err)
	dying, err := s.inspector.restore(stored, place, report)
	require.NoError(t, err)
	ctx, die := context.WithCancel(t.Context())
	go func() {
		defer die()
		for count := 0; count < 300; {
			if s.db.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE state = 'available'`).Scan(&count) != nil {
				return
			}
		}
	}()
	require.Error(t, dying.runAs(ctx, id, "dead"))
	s.execute(t, `UPDATE operator_actions SET beat_at = now() - interval '1 minute'`)

	s.runActions(t)

	done := s.awaitAction(t, id, ActionDone)
	require.Equal(t, 2406, done.Report.Done, done.Report)
	require.Equal(t, 2406, done.Report.Taken)
	require.Empty(t, s.all(t, Filter{State: Failed}))
	require.ErrorIs(t, dying.saved(t.Context()), errLost, "it does not hold the action any more")
}

func TestStart_TwoOperatorsDoNoHarm(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.failMany(t, 600)
	var ids []ActionID
	for _, actor := range []string{"ann", "bob"} {
		id, err := s.inspector.Start(t.Context(), actor, Bulk{Action: Retry})
		require.NoError(t, err)
		ids = append(ids, id)
	}
	s.runActions(t)
	s.runActions(t)

	first, second := s.awaitAction(t, ids[0], ActionDone), s.awaitAction(t, ids[1], ActionDone)

	require.Equal(t, 1200, first.Report.Done+second.Report.Done)
	require.Zero(t, first.Report.Failed+second.Report.Failed)
	require.Empty(t, s.all(t, Filter{State: Failed}))
}

func TestStop_EndsAnActionThatWaits(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.failMany(t, 3)
	id, err := s.inspector.Start(t.Context(), "ann", Bulk{Action: Discard, Filter: Filter{State: Failed}})
	require.NoError(t, err)

	require.NoError(t, s.inspector.StopAction(t.Context(), "bob", id))

	require.ErrorIs(t, s.inspector.StopAction(t.Context(), "bob", id), ErrState)
	require.ErrorIs(t, s.inspector.StopAction(t.Context(), "bob", 99), ErrNotFound)
	did, err := s.inspector.runNextAction(t.Context(), "worker")
	require.NoError(t, err)
	require.False(t, did)
	require.Len(t, s.all(t, Filter{State: Failed}), 6)
	actions, err := s.inspector.Actions(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, actions, 2)
	require.Equal(t, []string{"bob", "ann"}, []string{actions[0].Actor, actions[1].Actor})
	require.Equal(t, ActionStopped, actions[1].Outcome)
}

func TestStop_EndsAnActionThatRuns(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.failMany(t, 10)
	id, err := s.inspector.Start(t.Context(), "ann", Bulk{Action: Discard, Filter: Filter{State: Failed}})
	require.NoError(t, err)
	s.execute(t, `UPDATE operator_actions SET outcome = 'running', runner = 'gone', beat_at = now() - interval '1 hour', stop_asked = true`)

	s.runActions(t)

	require.Equal(t, ActionStopped, s.awaitAction(t, id, ActionStopped).Outcome)
}

func TestActAs_WritesTheAuditList(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.failMany(t, 2)
	ids := []ID{{Backend: jobs.PG, Job: 1}, {Backend: jobs.Redis, Queue: "low", Task: "task-1"}, {Backend: jobs.PG, Job: 99}}

	report, err := s.inspector.ActAs(t.Context(), "ann", Retry, ids...)

	require.NoError(t, err)
	require.Equal(t, 2, report.Done)
	require.Equal(t, map[string]int{"it was gone": 1}, report.Skipped)
	actions, err := s.inspector.Actions(t.Context(), 0, 10)
	require.NoError(t, err)
	require.Len(t, actions, 1)
	require.Equal(t, "pg:1 redis:low:task-1 pg:99", actions[0].Subject)
	require.Equal(t, report, actions[0].Report)
	require.Equal(t, ActionDone, actions[0].Outcome)
	require.False(t, actions[0].FinishedAt.IsZero())
	s.execute(t, `UPDATE operator_actions SET asked_at = now() - interval '91 days'`)
	require.NoError(t, s.inspector.pruneAudit(t.Context()))
	_, err = s.inspector.Action(t.Context(), actions[0].ID)
	require.ErrorIs(t, err, ErrNotFound)
}

func TestCount_CountsWhatAFilterSelects(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.failMany(t, 700)
	for range 5 {
		require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
		s.enqueueDurable(t)
	}

	for _, row := range []struct {
		text string
		most int
		want int
		more bool
	}{
		{"state:failed", 5000, 1400, false}, {"state:failed", 900, 900, true}, {"state:failed kind:mail", 700, 700, false},
		{"state:pending", 100, 10, false},
		{"kind:wave state:pending", 100, 5, false}, {"args.name:ada", 100, 5, false}, {"kind:none", 100, 0, false},
		{"pg:1", 10, 1, false}, {"", 10, 10, true},
	} {
		filter, err := ParseFilter(row.text)
		require.NoError(t, err)
		n, more, err := s.inspector.Count(t.Context(), filter, row.most)
		require.NoError(t, err)
		require.Equal(t, row.want, n, row.text)
		require.Equal(t, row.more, more, row.text)
	}
}

// Private

// failMany stores failed jobs of the kind mail and as many failed tasks of the kind
// wave.
func (s *store) failMany(t *testing.T, n int) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), `
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, queue)
		SELECT 'mail', '{}', 'discarded', 1, 1, now(), 'critical' FROM generate_series(1, $1::int)`, n)
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		SELECT 'task-' || n, 'wave', 'low', '{}', 'gone', 1 FROM generate_series(1, $1::int) AS n`, n)
	require.NoError(t, err)
}

// runActions runs a worker of bulk actions until the test ends.
func (s *store) runActions(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.inspector.RunActions(ctx, slog.New(slog.DiscardHandler)) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func (s *store) awaitAction(t *testing.T, id ActionID, outcome Outcome) (action AuditedAction) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		var err error
		action, err = s.inspector.Action(t.Context(), id)
		return err == nil && action.Outcome == outcome
	})
	return action
}
