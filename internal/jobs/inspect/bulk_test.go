package inspect

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
)

func TestActOnAll_TakesEachOnceAlsoWhenItFailsAgain(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.fail.Store(true)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, queue)
		SELECT 'mail', '{}', 'discarded', 1, 1, now(), 'critical' FROM generate_series(1, 1203)`)
	s.execute(t, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		SELECT 'task-' || n, 'wave', 'low', '{}', 'gone', 1 FROM generate_series(1, 1203) AS n`)
	s.work(t)

	report, err := s.inspector.ActOnAll(t.Context(), Bulk{Action: Retry})

	require.NoError(t, err)
	require.Equal(t, 2406, report.Taken)
	require.Equal(t, 2406, report.Done)
	require.True(t, report.Complete())
	stacktest.Eventually(t, func() bool { return s.ran.Load() >= 2406 })
	stacktest.Eventually(t, func() bool {
		queues, err := s.inspector.Queues(t.Context())
		return err == nil && queues[0].Counts[Failed] == 1203 && queues[5].Counts[Failed] == 1203
	})
	require.EqualValues(t, 2406, s.ran.Load(), "each ran once more")
}

func TestActOnAll_LeavesAloneWhatAppearsLater(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, queue)
		SELECT 'mail', '{}', 'discarded', 1, 1, now() + n * interval '1 hour', 'critical' FROM generate_series(0, 1) AS n`)
	s.execute(t, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, failed_at)
		SELECT 'task-' || n, 'wave', 'low', '{}', 'gone', 1, now() + n * interval '1 hour' FROM generate_series(0, 1) AS n`)

	for _, action := range []Action{Retry, Discard} {
		report, err := s.inspector.ActOnAll(t.Context(), Bulk{Action: action, Filter: Filter{State: Failed}})
		require.NoError(t, err)
		require.Equal(t, map[Action]int{Retry: 2, Discard: 0}[action], report.Taken)
	}
	require.Len(t, s.all(t, Filter{State: Failed}), 2)
}

func TestActOnAll_ActsOnWaitingWorkOfBothBackends(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for range 3 {
		s.enqueue(t, mailArgs{Order: 1})
		require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
		s.enqueueDurable(t)
	}

	report, err := s.inspector.ActOnAll(t.Context(), Bulk{Action: Cancel, Most: 4})
	require.NoError(t, err)
	require.Equal(t, 4, report.Done)
	require.True(t, report.Rest)
	report, err = s.inspector.ActOnAll(t.Context(), Bulk{Action: Cancel})
	require.NoError(t, err)
	require.Equal(t, 5, report.Done, report.Problems)
	require.False(t, report.Rest)
	require.Len(t, s.all(t, Filter{State: Cancelled}), 9)
	require.Len(t, s.all(t, Filter{State: Cancelled, Kind: "shout"}), 3, "the tasks, and not the jobs that relay them")

	report, err = s.inspector.ActOnAll(t.Context(), Bulk{Action: Discard, Filter: Filter{Kind: "wave"}})
	require.NoError(t, err)
	require.Equal(t, 3, report.Done)
	require.Len(t, s.all(t, Filter{}), 6)
}

func TestActOnAll_SaysWhatItSkipped(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, queue, unique_key, unique_states)
		SELECT 'mail', '{}', state::river_job_state, 5, 1, CASE WHEN state = 'discarded' THEN now() END, 'critical', key, B'11110101'
		FROM (VALUES ('discarded', 'a'::bytea), ('available', 'a'), ('discarded', 'b')) AS jobs (state, key)`)

	report, err := s.inspector.ActOnAll(t.Context(), Bulk{Action: Retry})

	require.NoError(t, err)
	require.Equal(t, Report{
		Action: Retry, Taken: 2, Done: 1, Skipped: map[string]int{"equal work already waits or runs": 1}, Problems: []string{},
	}, report)
	require.False(t, report.Complete())
	require.ErrorIs(t, s.inspector.Act(t.Context(), Retry, ID{Backend: jobs.PG, Job: 1}), ErrEqual)
}

func TestActOnAll_SaysHowFarItCameWhenItIsInterrupted(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		SELECT 'task-' || n, 'wave', 'low', '{}', 'gone', 1 FROM generate_series(1, 3000) AS n`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for left := 3000; left > 2900; {
			if s.db.QueryRow(t.Context(), `SELECT count(*) FROM failed_tasks`).Scan(&left) != nil {
				return
			}
		}
	}()

	report, err := s.inspector.ActOnAll(ctx, Bulk{Action: Discard, Filter: Filter{Kind: "wave"}})

	require.ErrorIs(t, err, context.Canceled)
	require.True(t, report.Rest)
	require.Zero(t, report.Failed, report.Problems)
	require.GreaterOrEqual(t, report.Done, 100)
	require.Len(t, s.all(t, Filter{State: Failed}), 3000-report.Done)
}

// Private

// enqueueDurable commits a durable task that is not sent to Redis yet.
func (s *store) enqueueDurable(t *testing.T) (deliver func(context.Context)) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), s.db, func(tx pgx.Tx) (err error) {
		deliver, err = s.tasks.EnqueueTx(t.Context(), tx, shoutArgs{Secret: "hunter2"})
		return err
	}))
	return deliver
}
