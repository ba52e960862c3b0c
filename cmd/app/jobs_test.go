package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestJobs_ShowAndChangeTheWorkOfBothBackends(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.jobs(0, "enqueue", "confirm_note", `{"note_id": 9007199254740993}`)
	d.jobs(0, "enqueue", "archive_note", `{"note_id": 7}`)
	d.jobs(0, "recurring", "run", "forget_old_notes")

	job := d.listed(3, "--state", "pending", "--kind", "confirm_note")[0]
	require.Equal(t, "critical", job.Queue)
	require.Equal(t, `{"note_id":9007199254740993}`, string(job.Args))
	task := d.listed(3, "--backend", "redis")[0]
	require.Regexp(t, `^redis:critical:`, task.ID)
	require.Contains(t, d.jobs(0, "show", task.ID), `"kind": "archive_note"`)
	require.Equal(t, "forget_old_notes", d.listed(3, "--queue", "low")[0].Kind)

	d.jobs(0, "cancel", job.ID, task.ID)
	require.Contains(t, d.jobs(0, "show", job.ID), `"state": "cancelled"`)
	require.Contains(t, d.jobs(0, "show", task.ID), `"state": "cancelled"`)
	require.Len(t, d.listed(3, "--state", "cancelled"), 2)
	d.jobs(0, "retry", job.ID, task.ID)
	require.Contains(t, d.jobs(0, "show", job.ID), `"state": "pending"`)
	require.Contains(t, d.jobs(0, "show", task.ID), `"state": "pending"`)
	require.Contains(t, d.jobs(1, "retry", job.ID), "not allowed in its state: it is pending")
	require.Contains(t, d.jobs(0, "discard", job.ID, task.ID), "discard: 2 done, 0 failed")
	require.Contains(t, d.jobs(1, "show", job.ID), "there is no such job or task")
	require.Contains(t, d.jobs(1, "show", task.ID), "there is no such job or task")

	d.jobs(0, "pause", "pg", "low")
	d.jobs(0, "pause", "redis", "critical")
	queues := d.jobs(0, "queues")
	require.Regexp(t, `(?m)^pg +low .* paused$`, queues)
	require.Regexp(t, `(?m)^redis +critical .* paused$`, queues)
	d.jobs(0, "resume", "pg", "low")
	d.jobs(0, "resume", "redis", "critical")
	require.NotContains(t, d.jobs(0, "queues"), "paused")
}

func TestJobs_ShowWorkersAndRecurringWork(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	require.JSONEq(t, `[]`, d.jobs(0, "workers", "--json"))
	require.JSONEq(t, `{"items": [], "read": 0}`, d.jobs(0, "list", "--json"))

	d.start("worker-pg")
	worker := d.start("worker-redis")

	worker.eventually(func() bool { return d.query(`SELECT count(*) FROM job_processes`) == 2 }, "is in the table of processes")
	require.Regexp(t, `(?m)^pg +.* working`, d.jobs(0, "workers"))
	require.Regexp(t, `(?m)^redis +.* working`, d.jobs(0, "workers"))
	worker.eventually(func() bool { return d.query(`SELECT count(*) FROM recurring_tasks`) > 0 }, "registers recurring work")
	require.Regexp(t, `(?m)^forget_old_notes +pg +every day at 4am`, d.jobs(0, "recurring"))
}

func TestJobs_ActOnMoreThanOnePage(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, queue)
		SELECT 'confirm_note', '{}', 'discarded', 5, 5, now(), 'critical' FROM generate_series(1, 1203)`)
	d.execute(`
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		SELECT 'task-' || n, 'archive_note', 'critical', '{"note_id": 1}', 'gone', 4 FROM generate_series(1, 503) AS n`)

	some := d.jobs(0, "retry", "--all", "--state", "failed", "--backend", "pg", "--most", "700")
	require.Contains(t, some,
		"retry: 700 taken, 700 done, 0 skipped, 0 failed; 0 of the retried have failed for good again so far; it ended at --most")
	rest := d.jobs(0, "retry", "--all", "--state", "failed", "--backend", "pg", "--json")
	require.JSONEq(t, `{
		"action": "retry", "taken": 503, "done": 503, "skipped": {}, "failed": 0, "problems": [], "failed_again": 0, "rest": false
	}`, rest)
	require.Contains(t, d.jobs(0, "discard", "--all", "--backend", "redis"), "discard: 503 taken, 503 done, 0 skipped, 0 failed\n")

	require.EqualValues(t, 1203, d.query(`SELECT count(*) FROM river_job WHERE state = 'available'`))
	require.Zero(t, d.query(`SELECT count(*) FROM failed_tasks`))
}

func TestJobs_ActOnAllFailsWhenSomeWorkWasSkipped(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, queue, unique_key, unique_states)
		SELECT 'confirm_note', '{}', state::river_job_state, 5, 1, CASE WHEN state = 'discarded' THEN now() END, 'critical', key, B'11110101'
		FROM (VALUES ('discarded', 'a'::bytea), ('available', 'a'), ('discarded', 'b')) AS jobs (state, key)`)

	said := d.jobs(1, "retry", "--all", "--state", "failed")

	require.Contains(t, said, "retry: 2 taken, 1 done, 1 skipped (equal work already waits or runs: 1), 0 failed")
	require.Contains(t, said, "retry: not done on 1 of 2")
}

func TestJobs_RetryRevivesCancelledWorkOnRequestOnly(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, queue)
		SELECT 'confirm_note', '{}', state::river_job_state, 5, 5, now(), 'critical'
		FROM unnest('{discarded,cancelled}'::text[]) AS state`)
	d.execute(`
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, cancelled)
		SELECT 'task-' || cancelled, 'archive_note', 'critical', '{"note_id": 1}', 'gone', 4, cancelled
		FROM unnest('{true,false}'::boolean[]) AS cancelled`)

	require.Contains(t, d.jobs(0, "retry", "--all"), "retry: 2 taken, 2 done")

	require.EqualValues(t, 1, d.query(`SELECT count(*) FROM river_job WHERE state = 'cancelled'`))
	require.EqualValues(t, 1, d.query(`SELECT count(*) FROM failed_tasks WHERE cancelled`))
	require.Len(t, d.listed(4, "--state", "cancelled"), 2)
	require.Contains(t, d.jobs(0, "retry", "--all", "--state", "cancelled"), "retry: 2 taken, 2 done")
	require.Zero(t, d.query(`SELECT count(*) FROM failed_tasks`))
	require.EqualValues(t, 2, d.query(`SELECT count(*) FROM river_job WHERE state = 'available'`))
}

func TestJobs_RefuseWrongArguments(t *testing.T) {
	t.Parallel()
	d := deploy(t)

	for _, wrong := range []struct {
		code int
		says string
		args []string
	}{
		{2, `"pg:x" is no id`, []string{"show", "pg:x"}},
		{2, `"123" is no id`, []string{"retry", "pg:1", "123"}},
		{2, `there is no state "lost"`, []string{"list", "--state", "lost"}},
		{2, `there is no queue "urgent"`, []string{"list", "--queue", "urgent"}},
		{2, `there is no backend "kafka"`, []string{"list", "--backend", "kafka"}},
		{2, `there is no queue "urgent"`, []string{"pause", "pg", "urgent"}},
		{2, `--limit must be from 1 to 500`, []string{"list", "--limit", "501"}},
		{2, `--after "x": this is no cursor`, []string{"list", "--after", "x"}},
		{2, `name ids, or use --all`, []string{"retry"}},
		{2, `name ids, or use --all`, []string{"retry", "pg:1", "--queue", "low"}},
		{2, `discard --all needs a filter`, []string{"discard", "--all"}},
		{2, `discard cannot act on work that is running; it acts on work that is pending,`,
			[]string{"discard", "--all", "--state", "running"}},
		{2, `unknown command "burn"`, []string{"burn"}},
		{1, `there is no such job or task`, []string{"show", "pg:99"}},
		{1, `there is no such job or task`, []string{"cancel", "redis:low:nothing"}},
		{1, `there is no kind of work called "fly"`, []string{"enqueue", "fly"}},
		{1, `read the arguments of confirm_note`, []string{"enqueue", "confirm_note", `{"note_id": "x"}`}},
		{1, `they must be an object`, []string{"enqueue", "confirm_note", `null`}},
		{1, `unknown field "nte_id"`, []string{"enqueue", "confirm_note", `{"nte_id": 1}`}},
		{1, `config/recurring.yml has no such entry: tea`, []string{"recurring", "run", "tea"}},
	} {
		require.Contains(t, d.jobs(wrong.code, wrong.args...), wrong.says, wrong.args)
	}
	require.Contains(t, d.jobs(0, "check"), "all can be used")
}

func TestJobs_EnqueueForLater(t *testing.T) {
	t.Parallel()
	d := deploy(t)

	d.jobs(0, "enqueue", "confirm_note", `{"note_id": 1}`, "--when", "1d12h")
	d.jobs(0, "enqueue", "broadcast_notes", "--when", time.Now().Add(time.Hour).Format(time.RFC3339))

	require.Len(t, d.listed(2, "--state", "scheduled", "--kind", "confirm_note"), 1)
	require.Len(t, d.listed(2, "--state", "scheduled", "--kind", "broadcast_notes"), 1)
	require.Contains(t, d.jobs(2, "enqueue", "confirm_note", `{"note_id": 1}`, "--when", "soon"), `--when: "soon" is neither a delay`)
}

func TestJobs_NameTheBackendThatIsUnavailable(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.jobs(0, "enqueue", "confirm_note", `{"note_id": 1}`)
	require.NoError(t, d.redis.Kill())

	listed := d.jobs(1, "list")
	require.Contains(t, listed, "confirm_note")
	require.Contains(t, listed, "list tasks")
	require.Regexp(t, `(?m)^pg +critical +1 `, d.jobs(1, "queues"))
	require.Contains(t, d.jobs(1, "pause", "redis", "low"), "pause or resume low of redis")

	d.environment["DATABASE_URL"] = "postgres://ada:hunter2@127.0.0.1:1/app"
	away := d.jobs(1, "list")
	require.Contains(t, away, "connect")
	require.NotContains(t, away, "hunter2")
	require.NoError(t, d.redis.Restart(context.Background()))
}

func TestJobs_ShowNoSecrets(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, errors)
		SELECT kind, args::jsonb, 'discarded', 1, 1, now(),
		       ARRAY['{"at": "2026-11-23T00:00:00Z", "attempt": 1, "error": "dial postgres://ada:hunter2@db/app",
		               "trace": "postgres://ada:hunter2@db/app"}'::jsonb]
		FROM (VALUES ('login', '{"password": "hunter2", "note_id": 5}'),
		             ('carry_task', '{"task": {"kind": "greet", "args": {"api_key": "hunter2"}}}')) AS jobs (kind, args)`)
	d.execute(`
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		VALUES ('one', 'greet', 'low', '{"token": "hunter2"}', 'redis://:hunter2@redis:6379 is away', 1)`)

	for _, args := range [][]string{{"list"}, {"list", "--json"}, {"show", "pg:1"}, {"show", "pg:2"}, {"show", "redis:low:one"}} {
		said := d.jobs(0, args...)
		require.NotContains(t, said, "hunter2", args)
		require.Contains(t, said, "***", args)
	}
}

// Private

// jobs runs app jobs, which must exit with code, and returns what it printed.
func (d *deployment) jobs(code int, args ...string) string {
	d.t.Helper()
	p := d.launch(nil, append([]string{"jobs"}, args...)...)
	<-p.done
	require.Equal(d.t, code, p.cmd.ProcessState.ExitCode(), "%v: %s", args, p.output.String())
	return p.output.String()
}

type listedJob struct {
	ID, Kind, Queue, State string
	Args                   json.RawMessage
}

// listed is what app jobs list shows of a filter, which must not be all of the
// work that there is.
func (d *deployment) listed(all int, filter ...string) []listedJob {
	d.t.Helper()
	var page struct{ Items []listedJob }
	require.NoError(d.t, json.Unmarshal([]byte(d.jobs(0, append([]string{"list", "--json"}, filter...)...)), &page))
	found := page.Items
	require.NotEmpty(d.t, found, fmt.Sprint(filter))
	require.Less(d.t, len(found), all, fmt.Sprint(filter))
	for i, job := range found {
		var compact bytes.Buffer
		require.NoError(d.t, json.Compact(&compact, job.Args))
		found[i].Args = compact.Bytes()
	}
	return found
}
