package inspect

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
)

// Args of jobs are searched by PostgreSQL and args of tasks in Redis by Go.
func TestList_FindsWorkByItsArgsOnBothBackends(t *testing.T) {
	t.Parallel()
	s := setup(t)
	client := asynq.NewClientFromRedisClient(stacktest.RedisClient(t, s.redis))
	for n, args := range []string{
		`{"order_id": 5}`, `{"order_id": "5"}`, `{"order_id": 5.0}`, `{"order_id": 50e-1}`, `{"order_id": 6}`, `{"order_id": [5]}`,
		`{"user": {"name": "Ann Lee"}}`, `{"user": {"name": "ann lee"}}`, `{"user": "Ann Lee"}`, `{"user": null}`, `{"user": "null"}`,
		`{"on": true}`, `{"on": "true"}`, `{"on": false}`, `{"big": 9007199254740993}`, `{"big": 9007199254740992}`, `{"big": -0.0}`, `{}`, `[5]`,
		`{"a/b?%#": "\" \\ : é"}`, `{"order_id": 5, "user": {"name": "Ann Lee", "age": 7}}`,
	} {
		s.execute(t, fmt.Sprintf(`INSERT INTO river_job (kind, args, max_attempts, tags) VALUES ('open', $a$%s$a$, 5, '{n%d}')`, args, n))
		s.execute(t, fmt.Sprintf(`INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
			VALUES ('failed-%d', 'open', 'low', $a$%s$a$, 'gone', 1)`, n, args))
		_, err := client.Enqueue(asynq.NewTask("open", []byte(args)), asynq.Queue("low"), asynq.TaskID(fmt.Sprint("waiting-", n)))
		require.NoError(t, err)
	}

	for text, want := range map[string]int{
		"args.order_id:5": 5, "args.order_id:5.0": 4, "args.order_id:6": 1, `args.order_id:"5"`: 5, "args.order_id:7": 0,
		`args.user.name:"Ann Lee"`: 2, "args.user:null": 2, "args.on:true": 2, "args.on:false": 1,
		"args.big:9007199254740993": 1, "args.big:9007199254740992": 1, "args.big:0": 1, "args.big:1e999": 0, "args.big:1e200000": 0,
		`args."a/b?%#":"\" \\ : é"`: 1, "args.order_id:5 args.user.age:7": 1, "args.order_id:5 args.user.age:8": 0, "args.user:x": 0,
	} {
		filter, err := ParseFilter(text)
		require.NoError(t, err)
		for _, source := range []Filter{{Backend: jobs.PG}, {Backend: jobs.Redis, State: Failed}, {Backend: jobs.Redis, State: Pending}} {
			source.Args = filter.Args
			require.Len(t, s.all(t, source), want, "%s of %s %s", text, source.Backend, source.State)
		}
	}
	require.Len(t, s.all(t, Filter{Tag: "n3"}), 1)
}

// A search by a secret would tell it.
func TestList_FindsNoWorkByItsSecrets(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enqueue(t, mailArgs{Order: 1, APIKey: "hunter2", Note: "hunter3"})
	s.execute(t, `INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		VALUES ('a', 'mail', 'low', '{"note": "hunter3", "api_key": "hunter2"}', 'gone', 1)`)
	s.execute(t, `INSERT INTO river_job (kind, args, max_attempts) VALUES
		('carry_task', '{"task": {"kind": "mail", "args": {"note": "hunter3"}}}', 5), ('other', '{"note": "hunter3"}', 5)`)
	client := asynq.NewClientFromRedisClient(stacktest.RedisClient(t, s.redis))
	_, err := client.Enqueue(asynq.NewTask("mail", []byte(`{"note": "hunter3", "api_key": "hunter2"}`)), asynq.Queue("low"))
	require.NoError(t, err)

	for text, want := range map[string]int{
		"args.note:hunter3": 1, "args.api_key:hunter2": 0, "args.task.args.note:hunter3": 0, "args.note:hunter3 kind:mail": 0, "args.order:1": 1,
	} {
		filter, err := ParseFilter(text)
		require.NoError(t, err)
		require.Len(t, s.all(t, filter), want, text)
	}
}

func TestList_SelectsByTimeIDTagAndBatch(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, created_at, attempted_at, finalized_at, tags, metadata)
		SELECT 'mail', '{}', CASE WHEN n % 2 = 0 THEN 'discarded' ELSE 'available' END::river_job_state, 5, now() - n * interval '1 hour',
		       CASE WHEN n % 3 = 0 THEN now() - n * interval '1 minute' END, CASE WHEN n % 2 = 0 THEN now() - n * interval '1 minute' END,
		       CASE WHEN n % 4 = 0 THEN '{weekly}'::varchar[] ELSE '{}' END,
		       CASE WHEN n % 5 = 0 THEN '{"slipway:batch": "b7"}' ELSE '{}' END::jsonb
		FROM generate_series(1, 60) AS n`)
	s.execute(t, `INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, failed_at)
		SELECT 'failed-' || n, 'wave', 'low', '{}', 'gone', 1, now() - n * interval '1 hour' FROM generate_series(1, 10) AS n`)
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))

	for text, want := range map[string]int{
		"backend:pg since:30m30s": 20, "backend:pg until:30m30s": 40, "backend:pg since:30m30s until:9m30s": 14,
		"state:failed backend:redis since:90m": 1,
		"backend:redis since:330m until:150m":  3, "since:10m backend:redis": 1, "until:1m backend:redis state:pending": 0,
		"pg:3": 1, "3": 1, "pg:3 state:failed": 0, "pg:4 state:failed": 1, "id:failed-3": 1, "redis:low:failed-3": 1, "redis:default:failed-3": 0,
		"redis:low:failed-3 since:1h": 0, "redis:low:failed-3 since:200m": 1, "tag:weekly": 15, "tag:weekly state:pending": 0, "tag:none": 0,
		"batch:b7": 12, "batch:b7 state:failed": 6, "batch:b8": 0, "pg:99": 0,
	} {
		filter, err := ParseFilter(text)
		require.NoError(t, err)
		require.Len(t, s.all(t, filter), want, text)
	}
}

func TestList_RefusesACursorOfAnotherFilter(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for range 3 {
		s.enqueue(t, mailArgs{Order: 1})
	}
	page, err := s.inspector.List(t.Context(), Filter{Kind: "mail", Limit: 1})
	require.NoError(t, err)

	_, err = s.inspector.List(t.Context(), Filter{Kind: "mail", Limit: 2, After: page.Next})
	require.NoError(t, err)
	_, err = s.inspector.List(t.Context(), Filter{Kind: "mail", Queue: "low", Limit: 1, After: page.Next})
	require.ErrorIs(t, err, ErrCursor)
	require.ErrorContains(t, err, "of a list with another filter")
}

func TestList_ReadsABoundedNumberAndGoesOn(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, finalized_at, tags)
		SELECT 'mail', '{"many": 1}', 'discarded', 5, now(), CASE WHEN n % 6000 = 1 THEN '{rare}'::varchar[] ELSE '{}' END
		FROM generate_series(1, 24000) AS n`)
	client := asynq.NewClientFromRedisClient(stacktest.RedisClient(t, s.redis))
	for n := range 1100 {
		_, err := client.Enqueue(asynq.NewTask("wave", []byte(fmt.Sprintf(`{"n": %d}`, n%100))), asynq.Queue("low"))
		require.NoError(t, err)
	}

	page, err := s.inspector.List(t.Context(), Filter{Tag: "rare"})
	require.NoError(t, err)
	require.Len(t, page.Items, 1)
	require.Equal(t, mostWalked, page.Read)
	require.NotEmpty(t, page.Next)
	require.Len(t, s.all(t, Filter{Tag: "rare"}), 4)
	require.Len(t, s.all(t, Filter{Tag: "rare", Limit: 1}), 4)
	require.Len(t, s.all(t, Filter{Args: []ArgsTerm{{[]string{"n"}, "7"}}, Limit: 4}), 11)
	require.Len(t, s.all(t, Filter{Args: []ArgsTerm{{[]string{"many"}, "1"}}, State: Failed, Limit: 500}), 24000)
	walk := jobWalk{filter: Filter{Args: []ArgsTerm{{[]string{"many"}, "2"}}}, after: jobPlace{Slow: true}, limit: 50}
	found, err := s.inspector.walkJobs(t.Context(), walk)
	require.NoError(t, err)
	require.Equal(t, mostArgsWalked, found.read)
	require.True(t, found.more)
	require.True(t, found.next.Slow)
}

func TestList_LeavesOutLargeArgsAndTheirTraces(t *testing.T) {
	t.Parallel()
	s := setup(t)
	large, err := json.Marshal(map[string]string{"name": strings.Repeat("x", 1<<19)})
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `INSERT INTO river_job (kind, args, max_attempts, state, finalized_at, errors)
		VALUES ('mail', $1, 5, 'discarded', now(), 
			ARRAY[jsonb_build_object('error', repeat('e', 1000000), 'attempt', 1, 'at', now(), 'trace', 'main.go')])`, large)
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts) VALUES ('a', 'wave', 'low', $1, 'gone', 1)`, large)
	require.NoError(t, err)
	client := asynq.NewClientFromRedisClient(stacktest.RedisClient(t, s.redis))
	_, err = client.Enqueue(asynq.NewTask("wave", large), asynq.Queue("low"))
	require.NoError(t, err)

	items := s.all(t, Filter{})

	require.Len(t, items, 3)
	for _, item := range items {
		require.True(t, item.ArgsOmitted, item.ID)
		require.Nil(t, item.Args)
		require.LessOrEqual(t, len(item.Error), 4096)
		shown, err := s.inspector.Show(t.Context(), item.ID)
		require.NoError(t, err)
		require.Greater(t, len(shown.Args), 1<<19)
	}
	require.Empty(t, items[0].Errors)
	causes, err := s.inspector.Causes(t.Context(), Filter{})
	require.NoError(t, err)
	require.Len(t, causes, 2)
}

func TestActOnAll_HonoursEveryFilter(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, tags, errors)
		SELECT 'mail', jsonb_build_object('order', n % 2), 'discarded', 5, 1, now() - n * interval '1 minute',
		       CASE WHEN n % 3 = 0 THEN '{x}'::varchar[] ELSE '{}' END, ARRAY[jsonb_build_object('error', 'no order ' || n)]
		FROM generate_series(1, 600) AS n`)
	s.execute(t, `INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		SELECT 'a' || n, 'wave', 'low', jsonb_build_object('order', n % 2), 'no wave ' || n, 1 FROM generate_series(1, 600) AS n`)
	causes, err := s.inspector.Causes(t.Context(), Filter{Kind: "wave"})
	require.NoError(t, err)
	require.Len(t, causes, 1)

	for _, step := range []struct {
		text string
		want int
	}{
		{"args.order:1 tag:x", 100}, {"since:10m30s backend:pg", 8}, {"args.order:1", 497}, {"cause:" + causes[0].Fingerprint, 300},
		{"kind:wave", 0}, {"pg:600", 1},
	} {
		filter, err := ParseFilter(step.text)
		require.NoError(t, err)
		filter.State = Failed
		report, err := s.inspector.ActOnAll(t.Context(), Bulk{Action: Discard, Filter: filter})
		require.NoError(t, err)
		require.Equal(t, step.want, report.Done, step.text)
		require.Equal(t, step.want, report.Taken, step.text)
	}
}
