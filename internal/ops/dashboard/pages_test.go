package dashboard

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
	"slipway/internal/operators"
	"slipway/internal/ops"
	"slipway/internal/telemetry"
)

var inline = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`)

func TestPages_AreHTMLWithoutInlineCodeAndJSON(t *testing.T) {
	t.Parallel()
	empty, full := newDesk(t), newDesk(t)
	full.count(t)
	id := full.fail(t, "orders.place", "req-1", "out of paper")
	full.keep(t, trace("req-1", time.Now(), 40*time.Millisecond,
		telemetry.Span{Kind: telemetry.SQLSpan, Name: "SELECT 1", Took: time.Millisecond}))

	paths := []string{
		"/ops", "/ops?range=6h", "/ops?range=24h", "/ops?range=7d", "/ops?range=nonsense", "/ops/errors", "/ops/errors?state=resolved",
		"/ops/traces", "/ops/traces?show=slow&q=leaflets&role=web", "/ops/traces?show=failed", "/ops/database", "/ops/settings",
	}
	for _, path := range paths {
		empty.requirePage(t, path)
		full.requirePage(t, path)
	}
	full.requirePage(t, "/ops/errors/"+id)
	full.requirePage(t, "/ops/trace/req-1")
}

func (d *desk) requirePage(t *testing.T, path string) {
	t.Helper()
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

func TestPages_NeedTheLogin(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	e := echo.New()
	New(Options{Desk: mustDesk(t)}).Routes(e)

	require.Greater(t, len(e.Routes()), 7)
	for _, route := range e.Routes() {
		path := strings.ReplaceAll(route.Path, ":id", "1")
		status, header, body := d.send(t, route.Method, path, nil, "Authorization", "")

		require.Equal(t, http.StatusUnauthorized, status, "%s %s", route.Method, path)
		require.Contains(t, header.Get("WWW-Authenticate"), "Basic")
		require.Contains(t, body, "JOBS_DASHBOARD_PASSWORD")
	}
}

func TestPages_WhoMayLookMayNotResolve(t *testing.T) {
	t.Parallel()
	d := newDesk(t, func(o *operators.Options) {
		o.Authorize = func(*http.Request) operators.Operator {
			return operators.Operator{Name: "grace", Level: operators.Look}
		}
	})
	id := d.fail(t, "orders.place", "", "out of paper")

	status, _, _ := d.send(t, http.MethodPost, "/ops/errors/"+id, url.Values{"do": {"resolve"}})

	require.Equal(t, http.StatusForbidden, status)
	require.NotContains(t, d.get(t, "/ops/errors/"+id), `value="resolve"`)
	require.Contains(t, d.get(t, "/ops/errors"), id, "it is still open")
}

func TestPulse_ShowsWhatMetricsCounted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.count(t)

	body := d.get(t, "/ops")
	var shown pulseView
	d.json(t, "/ops", &shown)

	require.Equal(t, 101, shown.Requests.Count)
	require.Equal(t, 1, shown.Requests.Failed)
	require.ElementsMatch(t, []ops.LimitUse{{Rule: "safelist", Allowed: 51}, {Rule: "orders by address", Refused: 4}}, shown.Limits)
	require.Equal(t, "GET /leaflets/:id", top(shown.Routes, busiest)[0].Name)
	require.Equal(t, "POST /orders", top(shown.Routes, slowest)[0].Name)
	for _, there := range []string{
		"<code>GET /leaflets/:id</code>", "<code>POST /orders</code>", "SELECT page FROM leaflets", "Limiter.check", "<code>mail</code>",
		"<code>print</code>", "HTTP cache", ">75 %<", "prices", ">90 %<", "orders by address", "The check redis fails",
		"The circuit breaker of Redis (main) is open", "v7",
	} {
		require.Contains(t, body, there)
	}
	require.NotContains(t, body, "192.0.2.7", "addresses are hashed")
}

func TestPulse_SaysWhatIsWrongNowInEveryRange(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	record := func(up float64) {
		registry := prometheus.NewRegistry()
		gauge := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_backend_up"}, []string{"check"})
		registry.MustRegister(gauge)
		gauge.WithLabelValues("queues").Set(up)
		recorder := ops.NewRecorder(ops.RecorderOptions{Role: "web", Version: "v7", Log: slog.New(slog.DiscardHandler), Registry: registry})
		require.NoError(t, recorder.Flush(t.Context(), d.db))
	}
	record(1)
	_, err := d.db.Exec(t.Context(), `UPDATE ops_figures SET at = at - interval '5 minutes' WHERE step = 1`)
	require.NoError(t, err)
	record(0)

	for _, each := range ops.Ranges {
		require.Contains(t, d.get(t, "/ops?range="+string(each)), "The check queues fails.", "%s", each)
	}
}

func TestPulse_LinksToTheJobsThatWait(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.enqueue(t, printArgs{1}, printArgs{2})

	body := d.get(t, "/ops")

	require.Regexp(t, `<a href="/jobs/work\?q=[^"]*pending[^"]*">\s*2\s*</a>`, body)
}

func TestPulse_IsShownWithoutRedis(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, d.redis.Kill())

	require.Contains(t, d.get(t, "/ops"), "Redis does not reply")
	require.NoError(t, d.redis.Restart(t.Context()))
}

func TestPages_SayWhatIsMissingWhenTheTablesAreGone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, err := d.db.Exec(t.Context(), `DROP TABLE ops_figures, ops_errors, ops_traces`)
	require.NoError(t, err)

	for _, path := range []string{"/ops", "/ops/errors", "/ops/errors/1", "/ops/traces", "/ops/trace/1"} {
		status, _, body := d.send(t, http.MethodGet, path, nil)

		require.Equal(t, http.StatusServiceUnavailable, status, path)
		require.Contains(t, body, "PostgreSQL cannot read this (sqlstate_42P01)", path)
	}
	require.Contains(t, d.get(t, "/ops/database"), "river_job")
}

func TestErrors_AreResolvedAndReopened(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	id := d.fail(t, "orders.place", "req-1", "out of paper")
	change := func(do string) (status int, location string) {
		status, header, _ := d.send(t, http.MethodPost, "/ops/errors/"+id, url.Values{"do": {do}})
		return status, header.Get("Location")
	}
	require.Contains(t, d.get(t, "/ops/errors/"+id), `href="/ops/trace/req-1"`)

	status, location := change("resolve")
	require.Equal(t, http.StatusSeeOther, status)
	require.Contains(t, d.get(t, location), "Resolved. It opens again by itself")
	require.NotContains(t, d.get(t, "/ops/errors"), id)
	require.Contains(t, d.get(t, "/ops/errors?state=resolved"), id)
	require.Contains(t, d.get(t, "/ops/errors/"+id), "by ada")

	status, location = change("reopen")
	require.Equal(t, http.StatusSeeOther, status)
	require.Contains(t, d.get(t, location), "Open again.")
	require.Contains(t, d.get(t, "/ops/errors"), id)

	status, _ = change("burn")
	require.Equal(t, http.StatusUnprocessableEntity, status)
	status, _, body := d.send(t, http.MethodPost, "/ops/errors/0123", url.Values{"do": {"resolve"}})
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "It is not there")
}

func TestPages_EscapeWhatOthersWrote(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const script = `<script>alert("x")</script> "quoted' &amp;`
	hostile := script + "\x00\x1b[31m"
	id := d.fail(t, hostile, hostile, hostile+strings.Repeat("y", 100_000))
	ended := trace(hostile, time.Now(), time.Millisecond, telemetry.Span{Kind: telemetry.SQLSpan, Name: "SELECT " + hostile})
	ended.Name, ended.Outcome, ended.Work, ended.Failed = hostile, hostile, hostile, true
	ended.ID = `<b>/"?&%25`
	d.keep(t, ended)

	link := regexp.MustCompile(`href="(/ops/trace/[^"]+)"`).FindStringSubmatch(d.get(t, "/ops/traces"))
	require.NotNil(t, link)
	for _, path := range []string{
		"/ops", "/ops/errors", "/ops/errors/" + id, "/ops/traces", strings.ReplaceAll(link[1], "&amp;", "&"),
		"/ops/traces?q=" + url.QueryEscape(script) + "&role=" + url.QueryEscape(script+"\x00"),
	} {
		html := d.get(t, path)

		require.NotContains(t, html, "<script>alert", path)
		require.NotContains(t, html, "<b>", path)
		require.NotContains(t, html, "\x1b", path)
		require.Less(t, len(html), 200_000, path)
	}
}

func TestPages_IDsThatNothingCanHaveAreNotThere(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	for _, path := range []string{
		"/ops/trace/%00", "/ops/trace/%ff%2f", "/ops/errors/%00", "/ops/errors/%ff", "/ops/trace/" + strings.Repeat("x", 5_000),
	} {
		status, _, body := d.send(t, http.MethodGet, path, nil)

		require.Equal(t, http.StatusNotFound, status, "%s: %s", path, body)
	}
}

func TestTraces_AreFoundByNameRoleAndFate(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	fast, slow, failed := trace("a", time.Now(), time.Millisecond), trace("b", time.Now(), time.Minute), trace("c", time.Now(), time.Second)
	fast.Name, slow.Name, failed.Name, failed.Failed = "GET /fast", "GET /slow", "GET /failed", true
	d.keep(t, slow, failed, fast)
	names := func(query string) (names []string) {
		var shown tracesView
		d.json(t, "/ops/traces?"+query, &shown)
		for _, one := range shown.Traces {
			names = append(names, one.Name)
		}
		return names
	}

	require.Equal(t, []string{"GET /fast", "GET /failed", "GET /slow"}, names(""))
	require.Equal(t, []string{"GET /slow", "GET /failed", "GET /fast"}, names("show=slow"))
	require.Equal(t, []string{"GET /failed"}, names("show=failed"))
	require.Equal(t, []string{"GET /slow"}, names("q=SLO"))
	require.Empty(t, names("role=worker-pg"))
	require.Contains(t, d.get(t, "/ops/traces?q=req-9"), `href="/ops/trace/req-9"`, "an id that somebody looks for")
}

func TestTrace_ShowsAllThatOneRequestDid(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	begin := time.Now().Add(-2 * time.Hour)
	request := trace("req-1", begin, 40*time.Millisecond,
		telemetry.Span{Kind: telemetry.SQLSpan, Name: "INSERT INTO orders", After: 10 * time.Millisecond, Took: 5 * time.Millisecond},
		telemetry.Span{Kind: telemetry.EnqueueSpan, Name: "print", After: 20 * time.Millisecond})
	job := trace("req-1", begin.Add(time.Hour), 80*time.Millisecond,
		telemetry.Span{Kind: telemetry.OutgoingSpan, Name: "mail", After: 10 * time.Millisecond, Took: 60 * time.Millisecond, Class: "timeout"})
	job.Kind, job.Name, job.Work, job.Attempt, job.Outcome, job.Failed = telemetry.JobTrace, "print", "pg:12", 2, "failed", true
	d.keep(t, request, job)

	body := d.get(t, "/ops/trace/req-1")

	for _, there := range []string{
		"GET /leaflets/:id", "INSERT INTO orders", ">mail<", "timeout", "attempt 2", "began 1 h after the first", `href="/jobs/item?id=pg%3A12"`,
		"A dashed line is a time in which nothing happened: 59 min", "1 × sql, 5.0 ms",
	} {
		require.Contains(t, body, there)
	}
	require.Equal(t, 5, strings.Count(body, `<svg class="bars"`), "two traces and three calls")
}

func TestTrace_ThatIsMissingSaysWhyAndShowsItsJobs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.enqueue(t, printArgs{1})
	_, err := d.db.Exec(t.Context(), `UPDATE river_job SET metadata = metadata || jsonb_build_object($1::text, 'req-7')`, jobs.RequestKey)
	require.NoError(t, err)

	status, _, body := d.send(t, http.MethodGet, "/ops/trace/req-7", nil)

	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, "No trace with this id is stored")
	require.Contains(t, body, "and one of 100 others")
	require.Contains(t, body, fmt.Sprintf("Only the newest %s are kept", operators.Number(ops.MostTraces)))
	require.Contains(t, body, "/jobs/item?id=pg%3A")
	status, _, body = d.send(t, http.MethodGet, "/ops/trace/req-7", nil, "Accept", "application/json")
	require.Equal(t, http.StatusNotFound, status)
	require.Contains(t, body, `"traces":[]`)
}

func TestDatabase_ShowsALongStatementAndWhoWaits(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, err := d.db.Exec(t.Context(), `CREATE TABLE leaflets (id integer)`)
	require.NoError(t, err)
	holder, err := d.db.Begin(t.Context())
	require.NoError(t, err)
	defer holder.Rollback(t.Context())
	_, err = holder.Exec(t.Context(), `LOCK TABLE leaflets`)
	require.NoError(t, err)
	waiting := make(chan error, 1)
	go func() {
		_, err := d.db.Exec(t.Context(), `UPDATE leaflets SET id = 1`)
		waiting <- err
	}()

	var shown ops.Database
	require.Eventually(t, func() bool {
		d.json(t, "/ops/database", &shown)
		return len(shown.Locks) == 1 && len(shown.Statements) > 0
	}, 20*time.Second, 50*time.Millisecond)

	require.Contains(t, shown.Locks[0].Text, "UPDATE leaflets")
	require.Len(t, shown.Locks[0].BlockedBy, 1)
	require.Contains(t, d.get(t, "/ops/database"), "UPDATE leaflets")
	require.Positive(t, shown.MaxConnections)
	require.NoError(t, holder.Rollback(t.Context()))
	require.NoError(t, <-waiting)
}

func TestSettings_AreMasked(t *testing.T) {
	t.Parallel()
	d := newDesk(t)

	body := d.get(t, "/ops/settings")

	require.Contains(t, body, "SECRET_KEY_BASE")
	require.Contains(t, body, "********")
}

// trace is a request of web.
func trace(id string, started time.Time, took time.Duration, spans ...telemetry.Span) telemetry.Ended {
	return telemetry.Ended{
		Subject: telemetry.Subject{ID: id, Kind: telemetry.RequestTrace, Name: "GET /leaflets/:id"},
		Started: started, Took: took, Outcome: "200", Spans: spans,
	}
}

func mustDesk(t *testing.T) *operators.Desk {
	t.Helper()
	shared, err := operators.NewDesk(operators.Options{})
	require.NoError(t, err)
	return shared
}
