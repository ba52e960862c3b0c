package main

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"slipway/internal/devstack"

	"github.com/stretchr/testify/require"
)

func TestWeb_MetricsAndProfilesAreNotPublic(t *testing.T) {
	t.Parallel()
	web := deploy(t).start("web")

	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/profile?seconds=1"} {
		require.Equal(t, http.StatusNotFound, status(web.url+path), path)
		require.Equal(t, http.StatusOK, status(web.ops+path), path)
	}
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	web.eventually(func() bool { return status(web.url+"/health") == http.StatusOK }, "is healthy")
	require.Contains(t, metricsOf(t, web), "app_build_info")
	require.Contains(t, metricsOf(t, web), "go_goroutines")
}

func TestWeb_LimitsRequestsAndTheOperatorMayEndIt(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web", "RACK_ATTACK_ENABLED=true", "RACK_ATTACK_LOGIN_LIMIT=lots",
		"RACK_ATTACK_REQ_IP_LIMIT=5", "RACK_ATTACK_REQ_IP_PERIOD=86400",
		"RACK_ATTACK_GEOIP_DATABASE=/nowhere/country.mmdb", "RACK_ATTACK_BLOCKED_COUNTRIES=XX")
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	web.eventually(func() bool {
		return web.health().Checks["geoip"].Status == "degraded" && web.health().Checks["database"].Status == "ok"
	}, "misses its country database")
	web.eventually(func() bool { return status(web.url+"/health") == http.StatusOK }, "is healthy without it")
	require.Contains(t, web.output.String(), "RACK_ATTACK_LOGIN_LIMIT")
	throttle := func(args ...string) string {
		p := d.launch(nil, append([]string{"throttle"}, args...)...)
		<-p.done
		return p.output.String()
	}

	for range 5 {
		require.Equal(t, http.StatusOK, status(web.url+"/thanks"))
	}
	require.Equal(t, http.StatusTooManyRequests, status(web.url+"/thanks"))
	require.Equal(t, http.StatusOK, status(web.url+"/up"))
	require.Equal(t, http.StatusNotFound, status(web.url+"/assets/none"), "not counted")
	require.Contains(t, metricsOf(t, web), `app_throttle_decisions_total{result="throttled",rule="req-ip"`)
	require.Regexp(t, `over +req-ip +127\.0\.0\.1 +\d+[hms]`, throttle("list"))

	require.NoError(t, d.redis.Freeze())
	require.Equal(t, http.StatusTooManyRequests, status(web.url+"/thanks"))
	require.Contains(t, throttle("list"), "timeout: Redis does not reply in time")
	require.NoError(t, d.redis.Thaw())

	require.Contains(t, throttle("reset", "127.0.0.1"), "Ended ")
	web.eventually(func() bool { return status(web.url+"/thanks") == http.StatusOK }, "serves again")
	require.Contains(t, throttle("list"), "No client is banned or over a limit.")
}

func TestWeb_ReportsThatItsPortIsTaken(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web")

	second := d.launch([]string{"PORT=" + strings.TrimPrefix(web.url, "http://127.0.0.1:"), "OPS_PORT=1"}, "web")
	<-second.done

	require.Equal(t, exitFailed, second.cmd.ProcessState.ExitCode())
	require.Contains(t, second.output.String(), "is another program using this port?")
}

func TestWeb_SIGTERMFinishesRequestsAndEndsStreamsAtOnce(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web", "SLOW_WORK=3s")
	ada := newVisitor(t, web.url)
	stream := openEvents(t, ada, "/live?since=0")
	stream.await(t, "retry: ")
	answered := make(chan int, 1)
	go func() { answered <- status(web.url + "/slow") }()
	web.eventually(func() bool { return strings.Contains(metricsOf(t, web), `app_http_requests_in_flight 2`) }, "works on the slow request")

	took := web.stop()

	require.Equal(t, http.StatusOK, <-answered)
	require.Less(t, took, 8*time.Second)
	for range stream.lines {
	}
}

func TestWeb_RefusesForbiddenClientsAndTrustsItsProxy(t *testing.T) {
	t.Parallel()
	web := deploy(t).start("web", "RACK_ATTACK_ENABLED=true", "RACK_ATTACK_REQ_IP_LIMIT=1", "RACK_ATTACK_REQ_IP_PERIOD=86400",
		"RACK_ATTACK_TRUSTED_PROXIES=127.0.0.1", "RACK_ATTACK_SAFELIST_IPS=203.0.113.1", "RACK_ATTACK_BLOCKLIST_IPS=198.51.100.0/24")
	web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy")
	get := func(address string) int {
		v := newVisitor(t, web.url)
		v.http.Transport = forwardedFor(address)
		code, body := v.get("/thanks")
		if code != http.StatusOK {
			require.Contains(t, body, http.StatusText(code)) // on the page of the application
		}
		return code
	}

	require.Equal(t, http.StatusForbidden, get("198.51.100.7"))
	require.Equal(t, http.StatusOK, get("192.0.2.1"))
	require.Equal(t, http.StatusTooManyRequests, get("192.0.2.1"))
	for range 3 {
		require.Equal(t, http.StatusOK, get("203.0.113.1"))
	}
}

func TestWeb_WorksWithoutRedis(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web, workerPG, _ := d.startAll()
	ada := newVisitor(t, web.url)

	require.NoError(t, d.redis.Kill())
	for range 3 {
		for _, path := range []string{"/", "/thanks"} {
			code, _ := ada.get(path)
			require.Equal(t, http.StatusOK, code, path)
		}
	}
	code, _, _ := ada.post("/notes", newNote())

	require.Equal(t, http.StatusOK, code)
	web.eventually(func() bool { return web.health().Status == "degraded" }, "is degraded")
	require.Equal(t, http.StatusOK, status(web.url+"/up"))
	workerPG.eventually(func() bool { return d.confirmed() == 1 }, "runs the job")
	require.Contains(t, web.output.String(), "Backend call failed")
	requireNoFlood(t, web.output.String())

	require.NoError(t, d.redis.Restart(t.Context()))
	web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy again")
	stream := openEvents(t, ada, "/live")
	stream.await(t, "retry: ")
	web.eventually(func() bool {
		code, _, _ := ada.post("/notes", newNote())
		require.Equal(t, http.StatusOK, code)
		return strings.Contains(strings.Join(drain(stream), ""), "note-count")
	}, "sends live updates again")
	workerPG.eventually(func() bool { return d.archived() == d.query(`SELECT count(*) FROM notes`) }, "relays the durable tasks")
}

func TestWeb_ShowsAnErrorPageWhenTheDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	showsErrorPages(t, deployAlone, [2]string{"/thanks", "/thanks"}, "503 Service Unavailable") // not public, so not cached
}

// showsErrorPages tests that web replies by an error page with text while its
// database is stopped or frozen. No cache has the pages. Settings are NAME=value.
func showsErrorPages(
	t *testing.T, deployOnServer func(t *testing.T) (*deployment, *devstack.Postgres), pages [2]string, text string, settings ...string,
) {
	t.Helper()
	faults := map[string]struct {
		begin, end func(*devstack.Postgres) error
	}{
		"stopped": {(*devstack.Postgres).Kill, func(p *devstack.Postgres) error { return p.Restart(context.Background()) }},
		"frozen":  {(*devstack.Postgres).Freeze, (*devstack.Postgres).Thaw},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, postgres := deployOnServer(t)
			web := d.start("web", append([]string{"REQUEST_TIMEOUT=1s"}, settings...)...)
			web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy")
			require.Equal(t, http.StatusOK, status(web.url+"/"))

			require.NoError(t, fault.begin(postgres))
			web.eventually(func() bool { return web.health().Status == "error" }, "reports that it cannot serve")

			// /health reports the last probe, and does not wait for the database.
			asked := time.Now()
			require.Equal(t, http.StatusServiceUnavailable, status(web.url+"/health"))
			require.Less(t, time.Since(asked), 400*time.Millisecond)
			require.Equal(t, http.StatusOK, status(web.url+"/up"))

			response, err := http.Get(web.url + pages[0])
			require.NoError(t, err)
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusServiceUnavailable, response.StatusCode)
			require.NotEmpty(t, response.Header.Get("Retry-After"))
			_, body := newVisitor(t, web.url).get(pages[1])
			require.Contains(t, body, text)
			require.NotContains(t, body, "127.0.0.1")

			require.NoError(t, fault.end(postgres))
			web.eventually(func() bool { return status(web.url+"/") == http.StatusOK && web.health().Status == "ok" }, "serves again")
		})
	}
}
