package main

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDashboard_IsClosedUntilBothVariablesAreSet(t *testing.T) {
	t.Parallel()
	d := deploy(t)

	closed := d.start("web")
	require.Equal(t, http.StatusUnauthorized, status(closed.url+"/jobs"))

	open := d.start("web", "JOBS_DASHBOARD_USER=ada", "JOBS_DASHBOARD_PASSWORD=lovelace-1815")
	require.Equal(t, http.StatusUnauthorized, status(open.url+"/jobs"))
	inside := strings.Replace(open.url, "http://", "http://ada:lovelace-1815@", 1)
	require.Equal(t, http.StatusOK, status(inside+"/jobs"))
}

func TestDashboard_ActsOnWorkersAndRefusesOtherSites(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.environment["JOBS_DASHBOARD_USER"], d.environment["JOBS_DASHBOARD_PASSWORD"] = "ada", "lovelace-1815"
	web, _, _ := d.startAll()
	d.execute(`
		INSERT INTO river_job (state, kind, queue, args, attempt, max_attempts, finalized_at, errors)
		SELECT 'discarded', 'confirm_note', 'critical', '{"note_id": 1}', 3, 3, now(), ARRAY['{"attempt": 3, "error": "no paper"}'::jsonb]
		FROM generate_series(1, 30)`)
	post := func(path string, fields url.Values, header ...string) (status int) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, web.url+path, strings.NewReader(fields.Encode()))
		require.NoError(t, err)
		request.SetBasicAuth("ada", "lovelace-1815")
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Accept", "application/json")
		for i := 0; i+1 < len(header); i += 2 {
			request.Header.Set(header[i], header[i+1])
		}
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}

	discard := url.Values{"action": {"discard"}, "q": {"state:failed"}}
	require.Equal(t, http.StatusForbidden, post("/jobs/act", discard, "Sec-Fetch-Site", "cross-site"))
	require.EqualValues(t, 30, d.query(`SELECT count(*) FROM river_job WHERE state = 'discarded'`))

	require.Equal(t, http.StatusOK, post("/jobs/act", discard))
	gone := func() bool { return d.query(`SELECT count(*) FROM river_job WHERE kind = 'confirm_note'`) == 0 }
	web.eventually(gone, "discards all in the background")
	web.eventually(func() bool {
		return d.query(`SELECT count(*) FROM operator_actions WHERE outcome = 'done' AND actor = 'ada' AND (report->>'done')::int = 30`) == 1
	}, "writes down who did what")
}
