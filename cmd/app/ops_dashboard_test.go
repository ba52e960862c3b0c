package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

func TestOpsDashboard_IsBehindTheDoorOfJobs(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web", "JOBS_DASHBOARD_USER=ada", "JOBS_DASHBOARD_PASSWORD=lovelace-1815")
	inside := strings.Replace(web.url, "http://", "http://ada:lovelace-1815@", 1)

	for _, path := range []string{"/ops", "/ops/errors", "/ops/traces", "/ops/trace/1", "/ops/database", "/ops/settings"} {
		require.Equal(t, http.StatusUnauthorized, status(web.url+path), path)
	}
	require.Equal(t, http.StatusOK, status(inside+"/ops"))
	require.Equal(t, http.StatusNotFound, status(inside+"/ops/trace/1"))
	_, settings := askOps(t, web, http.MethodGet, "/ops/settings")
	require.Contains(t, settings, `"SECRET_KEY_BASE","value":"********"`)
	require.NotContains(t, settings, "lovelace-1815")
	code, _ := askOps(t, web, http.MethodPost, "/ops/errors/1?do=resolve", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, code)
	_, overview := askOps(t, web, http.MethodGet, "/jobs", "Accept", "text/html")
	require.Regexp(t, `href="/jobs" aria-current="true">Jobs</a>\s*<a class="brand" href="/ops">Ops</a>`, overview)
}

func TestOpsDashboard_FollowsARequestIntoItsJob(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.environment["JOBS_DASHBOARD_USER"], d.environment["JOBS_DASHBOARD_PASSWORD"] = "ada", "lovelace-1815"
	web, _, _ := d.startAll()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.PostForm(web.url+"/notes", url.Values{"body": {"Buy paper"}})
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	id := response.Header.Get("X-Request-Id")
	require.NotEmpty(t, id)

	var shown struct {
		Traces []struct{ Kind, Role string }
		Jobs   []struct{ Kind string }
	}
	web.eventually(func() bool {
		code, body := askOps(t, web, http.MethodGet, "/ops/trace/"+id)
		if code != http.StatusOK {
			return false
		}
		require.NoError(t, json.Unmarshal([]byte(body), &shown))
		return len(shown.Traces) > 1
	}, "shows the request and its job")

	require.Equal(t, "request", shown.Traces[0].Kind)
	require.Equal(t, "web", shown.Traces[0].Role)
	require.Equal(t, "worker-pg", shown.Traces[1].Role)
	require.NotEmpty(t, shown.Jobs)
}

func TestOpsDashboard_InABrowserFitsAPhoneInTheDark(t *testing.T) {
	t.Parallel()
	tab := browser(t)
	d, web := openDashboard(tab, t)
	d.execute(`
		INSERT INTO ops_errors (id, title, source, class, backend, role, version, message, stack, trace, count, first_at, last_at)
		VALUES ('0123456789abcdef', '*errors.errorString', 'GET /notes', 'other', '', 'web', 'v7', 'no paper',
			'goroutine 1 [running]', 'r1', 3, now(), now());
		INSERT INTO ops_traces (
			trace, kind, name, work, parent, attempt, role, version, outcome, failed, started_at, took_us, spans, dropped
		)
		VALUES ('r1', 'request', 'GET /notes', '', '', 0, 'web', 'v7', '500', true, now(), 12000,
			jsonb_build_array(
				jsonb_build_object('kind', 'sql', 'name', repeat('SELECT a_long_column, ', 18), 'after_us', 1000, 'took_us', 9000)
			), 0),
		('r1', 'job', 'confirm_note', 'pg:1', '', 2, 'worker-pg', 'v7', 'failed', true, now() + interval '1 hour', 9000, '[]', 3)`)

	do(tab, t, chromedp.KeyEvent("l")) // so that no refresh comes between
	requireFitsAPhone(tab, t, web, map[string]string{
		"ops-pulse": "/ops", "ops-errors": "/ops/errors", "ops-error": "/ops/errors/0123456789abcdef", "ops-traces": "/ops/traces?show=slow",
		"ops-trace": "/ops/trace/r1", "ops-database": "/ops/database", "ops-settings": "/ops/settings",
	})
}

// askOps sends a request as the operator, and returns status and body, as JSON unless
// header says otherwise.
func askOps(t *testing.T, web *appProcess, method, path string, header ...string) (status int, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, web.url+path, nil)
	require.NoError(t, err)
	request.SetBasicAuth("ada", "lovelace-1815")
	request.Header.Set("Accept", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(content)
}
