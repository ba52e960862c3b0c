package main

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"slipway/internal/devstack/stacktest"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestRoles_ReportToSentryInProductionOnlyAndNotForARestart(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	sentry := stacktest.StartSentry(t)
	d.environment["SENTRY_DSN"] = sentry.DSN
	production := []string{
		"APP_ENV=production", "KAMAL_VERSION=9f8e7d6c", "SECRET_KEY_BASE=" + testSecret, "BIND_ADDRESS=127.0.0.1",
	}
	web, workerPG, workerRedis := d.start("web", production...), d.start("worker-pg", production...), d.start("worker-redis", production...)
	quiet := d.start("web")
	all := []*appProcess{web, workerPG, workerRedis, quiet}
	for _, p := range all {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}

	require.NoError(t, d.redis.Kill())
	refused := regexp.MustCompile(`Backend call failed.*backend\W+redis\b.*class\W+refused\b`) // text or JSON
	for _, p := range all {
		p.eventually(func() bool { return p.health().Status != "ok" }, "detects the outage")
		p.eventually(func() bool { return refused.MatchString(p.output.String()) }, "logs it")
	}
	require.NoError(t, d.redis.Restart(t.Context()))
	for _, p := range all {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy again")
	}
	require.Empty(t, sentry.Requests(), "a restart is not reported")

	// A fault that only an operator can repair.
	command := func(arguments ...any) {
		options, err := redis.ParseURL(d.redis.URL())
		require.NoError(t, err)
		client := redis.NewClient(options)
		defer client.Close()
		require.NoError(t, client.Do(context.Background(), arguments...).Err())
	}
	command("CONFIG", "SET", "maxmemory", "1")
	for role, p := range map[string]*appProcess{"web": web, "worker-pg": workerPG, "worker-redis": workerRedis} {
		p.eventually(func() bool { return strings.Contains(strings.Join(sentry.Requests(), ""), `"role":"`+role+`"`) }, "reports to Sentry")
	}
	outOfMemory := regexp.MustCompile(`msg="Backend call failed" backend=redis source=\S+ class=oom `)
	quiet.eventually(func() bool { return outOfMemory.MatchString(quiet.output.String()) }, "only logs it")
	command("CONFIG", "SET", "maxmemory", "0")
	for _, p := range all {
		p.stop()
	}

	require.Len(t, sentry.Requests(), 3)
	for _, body := range sentry.Requests() {
		require.Contains(t, body, `"fingerprint":["redis/oom"]`)
		require.Contains(t, body, `"release":"9f8e7d6c"`)
		require.Contains(t, body, `"environment":"production"`)
	}
	// Libraries log through the reporter too.
	for _, p := range all {
		for line := range strings.Lines(p.output.String()) {
			require.True(t, strings.HasPrefix(line, "{") || strings.HasPrefix(line, "time="), line)
		}
		require.Less(t, strings.Count(p.output.String(), "Backend call failed"), 30, p.name)
	}
}
