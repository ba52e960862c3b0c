package inspect

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
)

func TestOutbox_ShowsADurableTaskThatIsNotInRedisYet(t *testing.T) {
	t.Parallel()
	s := setup(t)
	deliver := s.enqueueDurable(t)

	task := s.await(t, "shout", Pending)
	require.Equal(t, "critical", task.Queue)
	require.JSONEq(t, `{"secret": "***"}`, string(task.Args))
	require.Equal(t, task.ID, *s.await(t, jobs.OutboxKind, Scheduled).Task)

	deliver(t.Context())
	require.Len(t, s.all(t, Filter{Kind: "shout"}), 1, "in Redis now, and still in the outbox")
}

func TestOutbox_NeverBringsBackATaskThatWasDiscardedOrCancelled(t *testing.T) {
	t.Parallel()
	for _, action := range []Action{Discard, Cancel} {
		for _, delivered := range []bool{true, false} {
			s := setup(t)
			deliver := s.enqueueDurable(t)
			if delivered {
				deliver(t.Context())
			}
			task := s.await(t, "shout", Pending)

			require.NoError(t, s.inspector.Act(t.Context(), action, task.ID))

			require.Empty(t, s.all(t, Filter{Backend: jobs.PG}), "no outbox job")
			require.Empty(t, s.all(t, Filter{State: Pending}))
			if action == Discard {
				s.gone(t, task.ID)
				continue
			}
			require.Equal(t, "shout", s.await(t, "shout", Cancelled).Kind)
			require.NoError(t, s.inspector.Act(t.Context(), Retry, task.ID))
			require.Equal(t, Pending, s.await(t, "shout", Pending).State)
		}
	}
}

func TestOutbox_WaitsForAnOutboxJobThatRuns(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enqueueDurable(t)
	task := s.await(t, "shout", Pending)
	s.execute(t, `UPDATE river_job SET state = 'running', attempt = 1`)
	ended := make(chan error, 1)
	go func() { ended <- s.inspector.Act(t.Context(), Discard, task.ID) }()
	stacktest.Eventually(t, func() bool { // its worker is told to stop
		var told bool
		return s.db.QueryRow(t.Context(), `SELECT metadata ? 'cancel_attempted_at' FROM river_job`).Scan(&told) == nil && told
	})
	require.Empty(t, ended)

	s.execute(t, `UPDATE river_job SET state = 'cancelled', finalized_at = now()`)

	require.NoError(t, <-ended)
	s.gone(t, task.ID)
}

func TestAct_RetriesATaskThatRedisForgotAsItsKindDeclares(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		SELECT kind || '-1', kind, 'critical', '{}', 'gone', 2 FROM unnest('{shout,unknown}'::text[]) AS kind`)
	inspector := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, s.redis))

	for kind, want := range map[string]asynq.TaskInfo{
		"shout":   {Timeout: 2*time.Minute + time.Minute, MaxRetry: 7, Retention: 10 * time.Minute},
		"unknown": {Timeout: 30*time.Second + time.Minute, MaxRetry: 2, Retention: 10 * time.Minute},
	} {
		require.NoError(t, s.inspector.Act(t.Context(), Retry, ID{Backend: jobs.Redis, Queue: "critical", Task: kind + "-1"}))
		task, err := inspector.GetTaskInfo("critical", kind+"-1")
		require.NoError(t, err)
		require.Equal(t, want, asynq.TaskInfo{Timeout: task.Timeout, MaxRetry: task.MaxRetry, Retention: task.Retention})
	}
}
