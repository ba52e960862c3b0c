package dashboard

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/inspect"
)

// screenPaths are all screens that need no id.
var screenPaths = []string{
	"/jobs", "/jobs?range=72h", "/jobs/work", "/jobs/work?q=state:failed", "/jobs/failures", "/jobs/queues", "/jobs/workers",
	"/jobs/recurring", "/jobs/batches", "/jobs/actions", "/jobs/enqueue",
}

var inline = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)

func TestScreens_AreHTMLWithoutInlineCodeAndJSON(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 1}, printArgs{Page: 2})
	d.fail(t, "out of paper", id)
	batchID := d.batch(t, "leaflets", printArgs{Page: 3})

	paths := append([]string{
		"/jobs/item?id=" + id.String(), "/jobs/item/edit?id=" + id.String(), "/jobs/confirm?action=retry&q=state:failed",
		fmt.Sprintf("/jobs/batch?id=%d", batchID),
	}, screenPaths...)
	for _, path := range paths {
		html := d.get(t, path)
		require.Contains(t, html, "<!doctype html>", path)
		require.Contains(t, html, "</html>", path)
		require.NotRegexp(t, inline, html, path)

		_, header, body := d.send(t, http.MethodGet, path, nil, "Accept", "application/json")
		require.Contains(t, header.Get("Content-Type"), "application/json", path)
		require.Contains(t, header.Get("Cache-Control"), "no-store", path)
		var fields map[string]any
		require.NoError(t, json.Unmarshal([]byte(body), &fields), path)
		require.NotContains(t, body, ":null", "%s: an empty list is [], and what is unknown is left out", path)
	}
}

func TestItem_ShowsArgsMaskedAndEscaped(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.enqueue(t, printArgs{Page: 9007199254740993, Token: "hunter2", Note: `<script>alert("x")</script>`})
	d.fail(t, "the printer said <b>no</b> to token hunter2", id)

	for _, path := range []string{"/jobs/item?id=" + id.String(), "/jobs/work", "/jobs/failures", "/jobs/item/edit?id=" + id.String()} {
		html := d.get(t, path)

		require.NotContains(t, html, "hunter2", path)
		require.NotContains(t, html, "<script>alert", path)
		require.NotContains(t, html, "<b>no</b>", path)
	}
	item := d.get(t, "/jobs/item?id="+id.String())
	require.Contains(t, item, "9007199254740993", "exactly")
	require.Contains(t, item, "&lt;script&gt;")
	require.Contains(t, item, "goroutine 1 [running]")
	var shown struct{ State inspect.State }
	d.json(t, "/jobs/item?id="+id.String(), &shown)
	require.Equal(t, inspect.Failed, shown.State)
}

func TestWork_ListsBothBackendsByFilter(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.enqueue(t, printArgs{Page: 1}, printArgs{Page: 2})
	require.True(t, d.tasks.Enqueue(t.Context(), waveArgs{To: "bob"}))

	all := d.get(t, "/jobs/work")
	require.Contains(t, all, ">print</a>")
	require.Contains(t, all, ">wave</a>")
	filtered := d.get(t, "/jobs/work?q="+url.QueryEscape("args.page:2"))
	require.Contains(t, filtered, `{&#34;page&#34;:2}`)
	require.NotContains(t, filtered, `{&#34;page&#34;:1}`)
	require.NotContains(t, filtered, ">wave</a>")

	for _, wrong := range []string{"colour:red", strings.Repeat("x", 1_001)} {
		status, body := d.ask(t, http.MethodGet, "/jobs/work?q="+url.QueryEscape(wrong), nil)
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Contains(t, body, "Nothing is shown, because the filter cannot be read.")
	}
}

func TestWork_PagesLoseNothing(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	args := make([]jobs.Args, 3*rowsOfPage+1)
	for i := range args {
		args[i] = printArgs{Page: i + 1}
	}
	d.enqueue(t, args...)

	seen, path := map[string]bool{}, "/jobs/work?q=state:pending"
	for pages := 0; path != ""; pages++ {
		require.Less(t, pages, 10)
		body := d.get(t, path)
		for _, id := range regexp.MustCompile(`name="id" value="(pg:\d+)"`).FindAllStringSubmatch(body, -1) {
			seen[id[1]] = true
		}
		next := regexp.MustCompile(`rel="next" href="([^"]+)"`).FindStringSubmatch(body)
		path = ""
		if next != nil {
			path = strings.ReplaceAll(next[1], "&amp;", "&")
		}
	}
	require.Len(t, seen, len(args))

	var first struct{ Next string }
	d.json(t, "/jobs/work?q=state:pending", &first)
	status, body := d.ask(t, http.MethodGet, "/jobs/work?q=state:failed&after="+url.QueryEscape(first.Next), nil)
	require.Equal(t, http.StatusUnprocessableEntity, status, "a cursor of another filter")
	require.Contains(t, body, "cursor")
}

func TestScreens_ShowTheOtherHalfWhenRedisIsDown(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.enqueue(t, printArgs{Page: 1})
	require.NoError(t, d.redis.Kill())

	for path, there := range map[string]string{"/jobs": "Jobs in PostgreSQL", "/jobs/work": ">print</a>", "/jobs/queues": "critical"} {
		body := d.get(t, path)

		require.Contains(t, body, "Redis does not reply", path)
		require.Contains(t, body, there, path)
	}
	require.NotContains(t, d.get(t, "/jobs"), "No worker of redis", "what is unknown is not called wrong")
	require.NoError(t, d.redis.Restart(t.Context()))
}

func TestScreens_NameTheBackendThatIsAway(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*desk, *testing.T){"PostgreSQL": (*desk).losePostgres, "Redis": (*desk).loseRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, func(options *deskOptions) {
				options.Patience, options.PageTimeout = 800*time.Millisecond, 2*time.Second
			})
			other := map[string]string{"PostgreSQL": "Redis", "Redis": "PostgreSQL"}[name]
			require.True(t, d.tasks.Enqueue(t.Context(), waveArgs{To: "bob"}))
			lose(d, t)

			paths := []string{"/jobs", "/jobs/work", "/jobs/work?q=backend:redis", "/jobs/work?q=backend:redis+since:1h", "/jobs/queues",
				"/jobs/failures?q=state:retrying", "/jobs/item?id=redis:low:a"}
			for _, path := range paths {
				_, body := d.ask(t, http.MethodGet, path, nil)

				require.Contains(t, body, name+" does not reply", path)
				require.NotContains(t, body, other+" does not reply", path)
			}
		})
	}
}

func TestWork_ListsTheOtherHalfInTheTimeOfOne(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*desk, *testing.T){"PostgreSQL": (*desk).losePostgres, "Redis": (*desk).loseRedis} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const patience = 1500 * time.Millisecond
			d := newDesk(t, func(options *deskOptions) { options.Patience = patience })
			d.enqueue(t, printArgs{Page: 1})
			for range rowsOfPage + 1 {
				require.True(t, d.tasks.Enqueue(t.Context(), waveArgs{To: "bob"}))
			}
			there, away := "wave", "print"
			if name == "Redis" {
				there, away = away, there
			}
			lose(d, t)

			for _, query := range []string{"", "?q=since:1h", "?q=state:pending"} {
				began := time.Now()
				body := d.get(t, "/jobs/work"+query)

				require.Less(t, time.Since(began), 2*patience, query)
				require.Contains(t, body, name+" does not reply", query)
				require.Contains(t, body, ">"+there+"</a>", query)
				require.NotContains(t, body, ">"+away+"</a>", query)
			}
			if name == "PostgreSQL" {
				var first, second struct {
					Items []struct{ Kind string }
					Next  string
				}
				d.json(t, "/jobs/work", &first)
				require.Len(t, first.Items, rowsOfPage)
				d.json(t, "/jobs/work?after="+url.QueryEscape(first.Next), &second)
				require.Len(t, second.Items, 1, "the next page is of Redis too")
			}
			require.Contains(t, d.get(t, "/jobs/work?q=kind:none"), "Nothing matches of what can be read.")
		})
	}
}

func TestOverview_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ids := d.enqueue(t, printArgs{Page: 1}, printArgs{Page: 2})
	d.fail(t, "out of paper", ids)
	d.execute(t, `UPDATE river_job SET scheduled_at = now() - interval '10 min' WHERE state = 'available'`)

	body := d.get(t, "/jobs")

	require.Contains(t, body, "No worker of pg runs")
	require.Contains(t, body, "1 failed for good")
	require.Regexp(t, `In the queue critical of pg, the oldest due work has waited for (10|9) min`, body)
}

func TestItem_NamesWithOddCharactersAreFound(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const odd = `a/b?c%25#d"e<f>`
	d.execute(t, `INSERT INTO failed_tasks (id, kind, queue, args, error, attempts) VALUES ($1, 'wave', 'low', '{"to":"bob"}', 'no', 1)`, odd)

	list := d.get(t, "/jobs/work?q=state:failed")
	link := regexp.MustCompile(`href="(/jobs/item\?id=redis[^"]+)"`).FindStringSubmatch(list)
	require.NotNil(t, link)
	item := d.get(t, strings.ReplaceAll(link[1], "&amp;", "&"))

	require.Contains(t, item, "Task wave")
	require.NotContains(t, item, `"e<f>`)
}

// batch enqueues a batch.
func (d *desk) batch(t *testing.T, name string, args ...jobs.Args) (id batch.ID) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), d.db, func(tx pgx.Tx) (err error) {
		id, err = d.batches.Enqueue(t.Context(), tx, batch.Batch{Name: name}, args...)
		return err
	}))
	return id
}
