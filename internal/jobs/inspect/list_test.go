package inspect

import (
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
	"slipway/internal/postgres/pgtest"
)

func TestList_PagesOnThroughWorkOfOneSecond(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, finalized_at, queue)
		SELECT 'mail', '{}', (ARRAY['discarded', 'completed'])[1 + n % 2]::river_job_state, 5, now(), 'critical'
		FROM generate_series(1, 1100) AS n`)
	s.execute(t, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, cancelled)
		SELECT 'task-' || n, 'wave', 'low', '{}', 'gone', 1, n % 3 = 0 FROM generate_series(1, 1100) AS n`)
	client := asynq.NewClientFromRedisClient(stacktest.RedisClient(t, s.redis))
	due := time.Now().Add(time.Hour)
	for n := range 1100 {
		options := []asynq.Option{asynq.Queue("low"), asynq.TaskID(fmt.Sprintf("waiting-%d", n))}
		if n%2 == 0 {
			options = append(options, asynq.ProcessAt(due))
		}
		_, err := client.Enqueue(asynq.NewTask([]string{"wave", "nod"}[n%10/5], []byte("{}")), options...)
		require.NoError(t, err)
	}

	for _, row := range []struct {
		want   int
		filter Filter
	}{
		{3300, Filter{}}, {1100, Filter{Backend: jobs.PG}}, {550, Filter{State: Done}}, {550, Filter{State: Failed, Kind: "mail"}},
		{734, Filter{State: Failed, Backend: jobs.Redis}}, {366, Filter{State: Cancelled}}, {550, Filter{State: Scheduled}},
		{330, Filter{Kind: "nod", State: Pending}}, {0, Filter{Queue: "default"}}, {0, Filter{Kind: "mail", State: Cancelled}},
	} {
		require.Equal(t, row.want, len(s.all(t, row.filter)), row.filter)
	}
	_, err := s.inspector.List(t.Context(), Filter{After: "x"})
	require.ErrorIs(t, err, ErrCursor)
}

func TestList_GoesOnAfterATaskThatIsGone(t *testing.T) {
	t.Parallel()
	s := setup(t)
	redis := stacktest.RedisClient(t, s.redis)
	client, inspector := asynq.NewClientFromRedisClient(redis), asynq.NewInspectorFromRedisClient(redis)
	due := time.Now().Add(time.Hour)
	for n := range 9 {
		_, err := client.Enqueue(asynq.NewTask("wave", []byte("{}")), asynq.Queue("low"), asynq.TaskID(fmt.Sprint("t", n)), asynq.ProcessAt(due))
		require.NoError(t, err)
	}

	first, err := s.inspector.List(t.Context(), Filter{State: Scheduled, Limit: 4})
	require.NoError(t, err)
	for _, item := range first.Items[1:] {
		require.NoError(t, inspector.DeleteTask("low", item.ID.Task))
	}
	rest, err := s.inspector.List(t.Context(), Filter{State: Scheduled, Limit: 100, After: first.Next})

	require.NoError(t, err)
	require.Len(t, rest.Items, 5)
	require.Empty(t, rest.Next)
}

func TestQueues_CountsUpToABound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, max_attempts, queue, scheduled_at, priority)
		SELECT 'mail', '{}', 5, 'critical', now() - interval '1 minute', 1 FROM generate_series(1, 10001)`)
	s.execute(t, `INSERT INTO river_job (kind, args, max_attempts, queue, scheduled_at, priority)
		VALUES ('mail', '{}', 5, 'critical', now() - interval '1 hour', 3)`)
	s.execute(t, `INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		SELECT 'task-' || n, 'wave', 'low', '{}', 'gone', 1 FROM generate_series(1, 10001) AS n`)

	queues, err := s.inspector.Queues(t.Context())

	require.NoError(t, err)
	for _, queue := range queues {
		switch string(queue.Backend) + " " + queue.Name {
		case "pg critical":
			require.Equal(t, 10000, queue.Counts[Pending])
			require.Equal(t, []State{Pending}, queue.More)
			require.InDelta(t, time.Hour, queue.Oldest, float64(time.Minute))
		case "redis low":
			require.Equal(t, 10000, queue.Counts[Failed])
			require.Equal(t, []State{Failed}, queue.More)
		default:
			require.Empty(t, queue.More)
		}
	}
}

// What a count or a list reads must not depend on what the planner expects of a busy
// table, which is analyzed more often than it is vacuumed.
func TestInspector_ReadsABoundedNumberOfRows(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `ALTER TABLE river_job SET (autovacuum_enabled = off)`)
	s.execute(t, `
		INSERT INTO river_job (kind, args, max_attempts, queue, state, finalized_at)
		SELECT CASE WHEN n % 2 = 0 THEN 'mail' ELSE 'shout' END, '{}', 5, CASE WHEN n % 100 = 0 THEN 'critical' ELSE 'default' END,
		       (CASE WHEN n % 6 = 0 THEN 'available' WHEN n % 5000 = 1 THEN 'discarded' ELSE 'completed' END)::river_job_state,
		       CASE WHEN n % 6 > 0 THEN now() END
		FROM generate_series(1, 30000) AS n`)
	s.execute(t, `INSERT INTO recurring_tasks (key, kind, backend, schedule, enabled) VALUES ('tick', 'mail', 'pg', '* * * * *', true)`)
	s.execute(t, `INSERT INTO recurring_runs (task_key, run_at) SELECT 'tick', now() - n * interval '1 min' FROM generate_series(1, 100) AS n`)
	s.execute(t, `ANALYZE river_job`)
	single := pgtest.Single(t, s.db)
	inspector, err := New(Options{DB: single, Tasks: s.tasks, Kinds: s.handlers})
	require.NoError(t, err)
	backlog := jobs.NewBacklog(time.Hour, prometheus.NewRegistry(), jobs.PG)
	backlog.Jobs(single, jobs.StandardQueues)
	list := func(filter Filter) func() error {
		return func() error {
			_, err := inspector.List(t.Context(), filter)
			return err
		}
	}

	for name, read := range map[string]func() error{
		"the queues": func() error { _, err := inspector.Queues(t.Context()); return err },
		"the runs":   func() error { _, err := inspector.RecurringRuns(t.Context()); return err },
		"the probe":  func() error { return backlog.Check(t.Context()) },
		"a list":     list(Filter{}), "a list of few": list(Filter{State: Failed}), "a list of a kind": list(Filter{Kind: "mail"}),
	} {
		before := pgtest.RowsRead(t, single, "river_job")
		const times = 10 // after some, PostgreSQL may plan for any arguments
		for range times {
			require.NoError(t, read())
		}
		require.Less(t, (pgtest.RowsRead(t, single, "river_job")-before)/times, 6500, name) // 5000 wait
	}
}

// Private

// all lists every page, and requires that no item is on two of them.
func (s *store) all(t *testing.T, filter Filter) []Item {
	t.Helper()
	var all []Item
	seen := map[ID]bool{}
	if filter.Limit == 0 {
		filter.Limit = 300
	}
	for {
		page, err := s.inspector.List(t.Context(), filter)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Items), filter.Limit)
		for _, item := range page.Items {
			require.False(t, seen[item.ID], item.ID)
			seen[item.ID] = true
		}
		all = append(all, page.Items...)
		if filter.After = page.Next; filter.After == "" {
			return all
		}
	}
}

func (s *store) execute(t *testing.T, statement string) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), statement)
	require.NoError(t, err)
}
