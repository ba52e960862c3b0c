package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWeb_MetricsAreNotPublic(t *testing.T) {
	t.Parallel()
	web := deploy(t).start("web")

	require.Equal(t, http.StatusNotFound, status(web.url+"/metrics"))
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	web.eventually(func() bool { return status(web.url+"/health") == http.StatusOK }, "is healthy")
	require.Contains(t, metricsOf(t, web), "app_build_info")
	require.Contains(t, metricsOf(t, web), "go_goroutines")
}

func TestWeb_LimitsRequestsAndTheOperatorMayEndIt(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web", "RACK_ATTACK_ENABLED=true", "RACK_ATTACK_REQ_IP_LIMIT=5", "RACK_ATTACK_REQ_IP_PERIOD=86400", "RACK_ATTACK_LOGIN_LIMIT=lots",
		"RACK_ATTACK_GEOIP_DATABASE=/nowhere/country.mmdb", "RACK_ATTACK_BLOCKED_COUNTRIES=XX")
	web.eventually(func() bool { return status(web.url+"/up") == http.StatusOK }, "is up")
	web.eventually(func() bool {
		return web.health().Checks["geoip"].Status == "degraded" && web.health().Checks["database"].Status == "ok"
	}, "misses its country database")
	require.Equal(t, http.StatusOK, status(web.url+"/health"))
	require.Contains(t, web.output.String(), "RACK_ATTACK_LOGIN_LIMIT")
	throttle := func(args ...string) string {
		p := d.launch(nil, append([]string{"throttle"}, args...)...)
		<-p.done
		return p.output.String()
	}

	for range 5 {
		require.Equal(t, http.StatusOK, status(web.url+"/"))
	}
	require.Equal(t, http.StatusTooManyRequests, status(web.url+"/"))
	require.Equal(t, http.StatusOK, status(web.url+"/up"))
	require.Equal(t, http.StatusNotFound, status(web.url+"/assets/none"), "not counted")
	require.Contains(t, metricsOf(t, web), `app_throttle_decisions_total{result="throttled",rule="req-ip"`)
	require.Regexp(t, `over +req-ip +127\.0\.0\.1 +\d+h`, throttle("list"))

	require.NoError(t, d.redis.Freeze())
	require.Equal(t, http.StatusTooManyRequests, status(web.url+"/"))
	require.Contains(t, throttle("list"), "no answer from Redis")
	require.NoError(t, d.redis.Thaw())

	require.Contains(t, throttle("reset", "127.0.0.1"), "Ended ")
	web.eventually(func() bool { return status(web.url+"/") == http.StatusOK }, "serves again")
	require.Contains(t, throttle("list"), "Nobody is banned or over a limit.")
}

func TestWeb_SaysWhenItsPortIsTaken(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web := d.start("web")

	second := d.launch([]string{"PORT=" + strings.TrimPrefix(web.url, "http://127.0.0.1:"), "OPS_PORT=1"}, "web")
	<-second.done

	require.Equal(t, exitFailed, second.cmd.ProcessState.ExitCode())
	require.Contains(t, second.output.String(), "is another program using this port?")
}
