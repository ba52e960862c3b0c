package dashboard

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
)

func TestAct_IsConfirmedWithItsNumberAndWrittenDown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.enqueue(t, printArgs{Page: 1}, printArgs{Page: 2})
	second := inspect.ID{Backend: first.Backend, Job: first.Job + 1}
	d.fail(t, "out of paper", first, second)

	status, asked := d.ask(t, http.MethodPost, "/jobs/confirm", form("action", "retry", "id", first.String(), "id", second.String()))
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, asked, "Retry <strong>2</strong>")
	require.Equal(t, "discarded", d.state(t, first), "asking changes nothing")

	d.post(t, "/jobs/act", "action", "retry", "id", first.String(), "id", second.String())

	require.Equal(t, "available", d.state(t, first))
	require.Equal(t, "available", d.state(t, second))
	var written screens.Actions
	d.json(t, "/jobs/actions", &written)
	require.Len(t, written.Actions, 1)
	require.Equal(t, "ada", written.Actions[0].Actor)
	require.Equal(t, 2, written.Actions[0].Report.Done)
}

func TestAct_OnOneGoesBackToItsScreen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 1})
	d.fail(t, "out of paper", id)

	location := d.post(t, "/jobs/act", "action", "retry", "id", id.String())

	require.Equal(t, "/jobs/item?id=pg%3A"+fmt.Sprint(id.Job)+"&said=retry", location)
	require.Contains(t, d.get(t, location), "It runs again.")
}

func TestAct_OnWhatHasVanishedSaysSo(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 1})
	d.execute(t, `DELETE FROM river_job`)

	location := d.post(t, "/jobs/act", "action", "discard", "id", id.String())
	require.Contains(t, location, "/jobs/action?id=")
	require.Contains(t, d.get(t, location), "it was gone")
	status, body := d.ask(t, http.MethodGet, "/jobs/item?id="+id.String(), nil)
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "It is not there")
	require.Contains(t, d.get(t, "/jobs/confirm?action=discard&id="+id.String()), "There is nothing to act on.")
}

func TestAct_OnAllThatMatchesRunsInTheBackground(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 1}, printArgs{Page: 2})
	d.fail(t, "out of paper", id)

	require.Contains(t, d.get(t, "/jobs/confirm?action=retry&q=kind:print"), "Retry <strong>1</strong>")
	location := d.post(t, "/jobs/act", "action", "retry", "q", "kind:print")

	body := d.get(t, location)
	require.Contains(t, body, "kind:print")
	require.Contains(t, body, "waiting")
	require.Contains(t, body, "It waits for a worker-pg")
	require.Equal(t, "discarded", d.state(t, id))
	d.post(t, "/jobs/actions", "do", "stop", "id", strings.TrimPrefix(location, "/jobs/action?id="))
	require.NotContains(t, d.get(t, location), "outcome-waiting")
}

func TestAct_RefusesWhatIsNotMeant(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.enqueue(t, printArgs{Page: 1})
	many := []string{"action", "retry"}
	for i := range mostChosen + 1 {
		many = append(many, "id", fmt.Sprintf("pg:%d", i+1))
	}

	for _, wrong := range [][]string{
		{"action", "explode", "q", ""}, {"action", "retry"}, {"action", "retry", "id", "pg:x"}, {"action", "discard", "q", ""},
		{"action", "cancel", "q", " "}, {"action", "discard", "q", "state:running"}, {"action", "retry", "q", "colour:red"}, many,
	} {
		for _, path := range []string{"/jobs/confirm", "/jobs/act"} {
			status, body := d.ask(t, http.MethodPost, path, form(wrong...))
			require.Equal(t, http.StatusUnprocessableEntity, status, "%s %v", path, wrong)
			require.Contains(t, body, `role="alert"`)
		}
	}
	var jobs int
	require.NoError(t, d.db.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'print'`).Scan(&jobs))
	require.Equal(t, 1, jobs)
}

func TestQueues_PauseAndResume(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	all := [][]string{{"backend", "pg", "queue", "low"}, {"backend", "redis", "queue", "low"}, {"backend", "pg", "kind", "print"}}

	for _, one := range all {
		require.Equal(t, "/jobs/queues?said=paused", d.post(t, "/jobs/queues", append(one, "do", "pause")...))
	}
	require.Equal(t, 3, strings.Count(d.get(t, "/jobs/queues"), `<span class="mark is-waiting">paused</span>`))
	for _, one := range all {
		d.post(t, "/jobs/queues", append(one, "do", "resume")...)
	}
	require.NotContains(t, d.get(t, "/jobs/queues"), `<span class="mark is-waiting">paused</span>`)
	require.Equal(t, 6, strings.Count(d.get(t, "/jobs/actions"), "<tr data-row>"))

	for _, wrong := range [][]string{{"backend", "mysql", "queue", "low", "do", "pause"}, {"backend", "pg", "queue", "low", "do", "burn"}} {
		status, _ := d.ask(t, http.MethodPost, "/jobs/queues", form(wrong...))
		require.Equal(t, http.StatusUnprocessableEntity, status)
	}
}

func TestEnqueue_ChecksTheArgs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	for args, problem := range map[string]string{
		`{"page": 0}`: "page must be at least 1", `{"page": "one"}`: "page", `{`: "JSON", `{"pag": 1}`: "pag",
	} {
		status, body := d.ask(t, http.MethodPost, "/jobs/enqueue", form("kind", "print", "args", args))
		require.Equal(t, http.StatusUnprocessableEntity, status, args)
		require.Contains(t, body, problem)
		require.Contains(t, body, "<textarea", "what was written is not lost")
	}
	status, body := d.ask(t, http.MethodPost, "/jobs/enqueue", form("kind", "fly", "args", "{}"))
	require.Equal(t, http.StatusUnprocessableEntity, status, body)

	location := d.post(t, "/jobs/enqueue", "kind", "print", "args", `{"page":7}`)

	require.Contains(t, d.get(t, location), "pending")
}

func TestEdit_RetriesWithOtherArgs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 1, Token: "hunter2"})
	d.fail(t, "out of paper", id)

	status, body := d.ask(t, http.MethodPost, "/jobs/item/edit", form("id", id.String(), "args", `{"page":0}`))
	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, body, "page must be at least 1")
	require.Equal(t, "discarded", d.state(t, id))

	var edit struct {
		Args string `json:"args"`
	}
	d.json(t, "/jobs/item/edit?id="+id.String(), &edit)
	d.post(t, "/jobs/item/edit", "id", id.String(), "args", strings.Replace(edit.Args, `"page": 1`, `"page": 2`, 1))

	var page int
	var token string
	row := d.db.QueryRow(t.Context(), `SELECT (args->>'page')::int, args->>'token' FROM river_job WHERE id = $1`, id.Job)
	require.NoError(t, row.Scan(&page, &token))
	require.Equal(t, 2, page)
	require.Equal(t, "hunter2", token, "a masked value keeps what is stored")
	require.Equal(t, "available", d.state(t, id))
}

func TestRecurring_RunsPausesAndResumes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.execute(t, `
		INSERT INTO recurring_tasks (key, kind, backend, schedule, enabled, last_run_at)
		VALUES ('nightly', 'print', 'pg', '0 3 * * *', true, now())`)

	d.post(t, "/jobs/recurring", "do", "run", "key", "nightly")
	var runs int
	require.NoError(t, d.db.QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'print'`).Scan(&runs))
	require.Equal(t, 1, runs)
	body := d.get(t, "/jobs/recurring")
	require.Contains(t, body, "every day at 3:00")
	require.Contains(t, body, `class="run-open"`)

	d.post(t, "/jobs/recurring", "do", "pause", "all", "all")
	require.Contains(t, d.get(t, "/jobs/recurring"), `<span class="mark is-waiting">paused</span>`)
	d.post(t, "/jobs/recurring", "do", "resume", "key", "nightly")
	require.NotContains(t, d.get(t, "/jobs/recurring"), `<span class="mark is-waiting">paused</span>`)

	status, _ := d.ask(t, http.MethodPost, "/jobs/recurring", form("do", "run", "key", "no-such"))
	require.Equal(t, http.StatusNotFound, status)
	status, _ = d.ask(t, http.MethodPost, "/jobs/recurring", form("do", "pause"))
	require.Equal(t, http.StatusUnprocessableEntity, status)
}

func TestBatches_PauseResumeAndCancel(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := fmt.Sprint(d.batch(t, "leaflets", printArgs{Page: 1}, printArgs{Page: 2}))

	require.Contains(t, d.get(t, "/jobs/batches"), "leaflets")
	d.post(t, "/jobs/batch", "id", id, "do", "pause")
	require.Contains(t, d.get(t, "/jobs/batch?id="+id), "batch-paused")
	d.post(t, "/jobs/batch", "id", id, "do", "resume")
	require.Contains(t, d.get(t, "/jobs/batch?id="+id), "batch-open")
	d.post(t, "/jobs/batch", "id", id, "do", "cancel")
	require.Contains(t, d.get(t, "/jobs/batch?id="+id), "batch-cancelled")

	status, _ := d.ask(t, http.MethodGet, "/jobs/batch?id=999", nil)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = d.ask(t, http.MethodGet, "/jobs/batch?id=x", nil)
	require.Equal(t, http.StatusUnprocessableEntity, status)
}
