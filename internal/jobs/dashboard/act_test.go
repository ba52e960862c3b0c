package dashboard

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
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

func TestAct_DiscardOfOneGoesBackToTheList(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.enqueue(t, printArgs{Page: 1}, printArgs{Page: 2})
	second := inspect.ID{Backend: first.Backend, Job: first.Job + 1}

	for back, list := range map[string]string{"": "/jobs/work?said=discard", "kind:print": "/jobs/work?q=kind%3Aprint&said=discard"} {
		location := d.post(t, "/jobs/act", "action", "discard", "id", first.String(), "back", back)

		require.Equal(t, list, location)
		require.Contains(t, d.get(t, location), "It is deleted.")
		require.Equal(t, "gone", d.state(t, first))
		first = second
	}
}

func TestAct_RetriesAllWithoutAFilter(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.fail(t, "out of paper", d.enqueue(t, printArgs{Page: 1}))
	d.execute(t, `INSERT INTO failed_tasks (id, kind, queue, args, error, attempts) VALUES ('a', 'wave', 'low', '{"to":"bob"}', 'no', 1)`)
	list := d.get(t, "/jobs/work")
	require.NotContains(t, list, "Discard all…", "what destroys all work needs a filter")
	link := regexp.MustCompile(`href="(/jobs/confirm\?[^"]+)">Retry all…`).FindStringSubmatch(list)
	require.NotNil(t, link)

	asked := d.get(t, strings.ReplaceAll(link[1], "&amp;", "&"))
	require.Contains(t, asked, "Retry <strong>2</strong>")
	require.Contains(t, asked, "<strong>All work</strong>")
	location := d.post(t, "/jobs/act", "action", "retry", "q", "", "back", "")

	require.Contains(t, d.get(t, location), "waiting")
	var subject string
	require.NoError(t, d.db.QueryRow(t.Context(), `SELECT subject FROM operator_actions WHERE action = 'retry'`).Scan(&subject))
	require.Empty(t, subject)
}

func TestConfirm_ReadsWhatIsChosenTogether(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	args := make([]jobs.Args, mostChosen-1)
	for i := range args {
		args[i] = printArgs{Page: i + 1}
	}
	first := d.enqueue(t, args...)
	require.True(t, d.tasks.Enqueue(t.Context(), waveArgs{To: "bob"}))
	chosen := []string{"action", "discard"}
	for i := range args {
		chosen = append(chosen, "id", fmt.Sprintf("pg:%d", first.Job+int64(i)))
	}
	id := regexp.MustCompile(`value="(redis:[^"]+)"`).FindStringSubmatch(d.get(t, "/jobs/work?q=kind:wave"))
	require.NotNil(t, id)
	before := d.db.Stat().AcquireCount()

	status, body := d.ask(t, http.MethodPost, "/jobs/confirm", form(append(chosen, "id", id[1])...))

	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, fmt.Sprintf("Discard <strong>%d</strong>", mostChosen))
	require.Less(t, d.db.Stat().AcquireCount()-before, int64(10), "statements")
}

func TestConfirm_SaysThatABackendIsAway(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*desk, *testing.T){"PostgreSQL": (*desk).losePostgres, "Redis": (*desk).loseRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, func(options *deskOptions) { options.PageTimeout = 2 * time.Second })
			d.enqueue(t, printArgs{Page: 1})
			require.True(t, d.tasks.Enqueue(t.Context(), waveArgs{To: "bob"}))
			lose(d, t)

			for _, query := range []string{"id=redis:low:a", "q=backend:redis", "q=state:pending"} {
				status, body := d.ask(t, http.MethodGet, "/jobs/confirm?action=discard&"+query, nil)

				require.Equal(t, http.StatusServiceUnavailable, status, query)
				require.Contains(t, body, name+" does not reply", query)
				require.NotContains(t, body, "There is nothing to act on.")
			}
		})
	}
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
	id := d.enqueue(t, printArgs{Page: 1})
	require.Contains(t, d.get(t, "/jobs/work"), `title="Its kind is paused">paused</span>`)
	require.Contains(t, d.get(t, "/jobs/item?id="+id.String()), "its kind is paused")
	var shown struct{ Items []struct{ Paused string } }
	d.json(t, "/jobs/work", &shown)
	require.Equal(t, "kind", shown.Items[0].Paused)
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

func TestEnqueue_ForLater(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	noon := time.Now().Add(36 * time.Hour).UTC().Truncate(time.Second)
	const least = 36*time.Hour - time.Minute

	for _, when := range []string{"1d12h", noon.Format(time.RFC3339)} {
		for kind, args := range map[string]string{"print": `{"page":7}`, "wave": `{"to":"bob"}`} {
			location := d.post(t, "/jobs/enqueue", "kind", kind, "args", args, "when", when)

			var shown struct {
				State inspect.State
				RunAt time.Time `json:"run_at"`
			}
			d.json(t, location, &shown)
			require.Equal(t, inspect.Scheduled, shown.State, kind)
			require.Greater(t, time.Until(shown.RunAt), least)
			require.Less(t, time.Until(shown.RunAt), least+2*time.Minute)
		}
	}
	require.Contains(t, d.get(t, "/jobs/actions"), "for "+noon.Format(time.RFC3339))

	for when, problem := range map[string]string{
		"soon": "when: &#34;soon&#34; is neither a delay", "0s": "is no delay", "9999d": "too long", "2020-01-01T00:00:00Z": "is over",
		"2026-11-30": "is neither",
	} {
		status, body := d.ask(t, http.MethodPost, "/jobs/enqueue", form("kind", "print", "args", `{"page":7}`, "when", when))
		require.Equal(t, http.StatusUnprocessableEntity, status, when)
		require.Contains(t, body, problem)
		require.Contains(t, body, `value="`+when+`"`, "what was written is not lost")
	}
}

func TestEnqueue_QuotesNoSecret(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 1, Token: "older-than-time"})
	d.fail(t, "out of paper", id)
	alert := regexp.MustCompile(`role="alert">([^<]*)<`)

	_, body := d.ask(t, http.MethodPost, "/jobs/enqueue", form("kind", "print", "args", `{"page": 1, "token": "older-than-time"}`))
	problem := alert.FindStringSubmatch(body)
	require.NotNil(t, problem)
	require.Contains(t, problem[1], "the token *** is of last year")
	_, body = d.ask(t, http.MethodPost, "/jobs/item/edit", form("id", id.String(), "args", `{"page": 2, "token": "***"}`))
	require.Contains(t, body, "the token *** is of last year")
	require.NotContains(t, body, "older-than-time")

	for _, path := range []string{"/jobs/action?id=1", "/jobs/action?id=2"} {
		written := d.get(t, path)
		require.Contains(t, written, "the token *** is of last year")
		require.NotContains(t, written, "older-than-time")
	}
}

func TestEdit_RefusesAMaskWithoutAStoredValue(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 1})
	d.fail(t, "out of paper", id)

	for path, more := range map[string][]string{"/jobs/item/edit": {"id", id.String()}, "/jobs/enqueue": {"kind", "print"}} {
		status, body := d.ask(t, http.MethodPost, path, form(append(more, "args", `{"page": 1, "token": "***"}`)...))

		require.Equal(t, http.StatusUnprocessableEntity, status, path)
		require.Contains(t, body, "token is ***, and there is no stored value for it: write the value")
	}
	require.Equal(t, "discarded", d.state(t, id))
}

func TestEdit_RefusesWorkThatIsUnique(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, posterArgs{Page: 1})
	d.fail(t, "out of paper", id)

	status, body := d.ask(t, http.MethodPost, "/jobs/item/edit", form("id", id.String(), "args", `{"page": 2}`))

	require.Equal(t, http.StatusUnprocessableEntity, status)
	require.Contains(t, body, "poster is unique by its args: enqueue it with other args, and discard this one")
	require.Equal(t, "discarded", d.state(t, id))
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

func TestRecurring_ATaskIsSentUntilItFails(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.execute(t, `
		INSERT INTO recurring_tasks (key, kind, backend, schedule, enabled) VALUES ('greeting', 'wave', 'redis', '0 3 * * *', true)`)
	d.execute(t, `
		INSERT INTO recurring_runs (task_key, run_at) VALUES ('greeting', '2026-11-29T03:00:00Z'), ('greeting', '2026-11-30T03:00:00Z')`)
	d.execute(t, `
		INSERT INTO failed_tasks (id, kind, queue, args, error, attempts)
		VALUES ('recurring:greeting:2026-11-29T03:00:00.000000Z', 'wave', 'low', '{}', 'no', 1)`)

	body := d.get(t, "/jobs/recurring")

	require.Contains(t, body, `class="run-sent"`)
	require.Contains(t, body, `class="run-failed"`)
	require.NotContains(t, body, `class="run-done"`)
	var shown screens.Recurring
	d.json(t, "/jobs/recurring", &shown)
	require.Equal(t, "sent", shown.History[0].Runs[0].Outcome)
}

func TestWorkers_ThatDoNotObeyAreNoErrorOfTheServer(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.execute(t, `
		INSERT INTO job_processes (id, backend, host, pid, version, queues, concurrency, state, beat_at)
		VALUES ('deaf', 'pg', 'h', 1, 'v', '{}', 1, 'working', now())`)

	for worker, reason := range map[string]error{"gone": inspect.ErrGone, "deaf": inspect.ErrNoAnswer} {
		status, body := d.ask(t, http.MethodPost, "/jobs/workers", form("worker", worker, "do", "quiet"))

		require.Equal(t, http.StatusConflict, status)
		require.Contains(t, body, reason.Error())
	}
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
