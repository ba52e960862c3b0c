package main

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// requestLimit is how many pages an address may see while Redis is faulty.
const requestLimit = 20

// redisExercise is what the visitors of an application do while Redis is faulty.
type redisExercise struct {
	page string // a page that the edge does not keep, so that limits count it
	mark string // pattern; is on that page when it was rendered for its visitor

	// prepare fills in a form before the fault, and returns where it goes. The
	// address of the page that answers it has accepted in it.
	prepare  func(v *visitor) (path string, form url.Values)
	accepted string

	// use opens every kind of page and sends every kind of form once, as new
	// visitors. No request may fail.
	use func(t *testing.T, web *appProcess)

	// families are the prefixes of keys, after that of the installation, that every
	// web process uses.
	families []string
}

// suffer lives through one fault: with a web process of its own, because what is
// logged and reported depends on the faults before.
func (e redisExercise) suffer(t *testing.T, d deployment, fault redisFault) {
	t.Helper()
	f := startFaultyRedis(t, fault.durable)
	sentry := stacktest.StartSentry(t)
	d.t = t
	address := f.url
	if fault.nameless {
		address = "redis://redis.invalid:6379/0"
	}
	start := func() *appProcess {
		return d.start("web", "INSTALLATION="+faultyInstallation, "REDIS_URL="+address, "SENTRY_DSN="+sentry.DSN,
			"APP_ENV=production", "SECRET_KEY_BASE="+testSecret, "BIND_ADDRESS=127.0.0.1", "LIVE_STREAM_LIFETIME=25s",
			"RACK_ATTACK_ENABLED=true", fmt.Sprintf("RACK_ATTACK_REQ_IP_LIMIT=%d", requestLimit),
			"RACK_ATTACK_REQ_IP_PERIOD=86400", "RACK_ATTACK_TRUSTED_PROXIES=127.0.0.1")
	}
	web := start()
	if !fault.nameless {
		web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy")
	}
	greedy, watcher, ada := newVisitorAt(t, web.url), newVisitorAt(t, web.url), newVisitorAt(t, web.url)
	for range requestLimit {
		status, _ := greedy.get(e.page)
		require.Equal(t, http.StatusOK, status)
	}
	for range requestLimit / 2 {
		status, _ := watcher.get(e.page)
		require.Equal(t, http.StatusOK, status)
	}
	path, form := e.prepare(ada)
	e.use(t, web)
	stream := openEvents(t, ada, "/live")
	stream.await(t, "retry: ")

	// What visitors see.
	end := sync.OnceFunc(fault.begin(f))
	defer end()
	var took []time.Duration
	visit := func() {
		began := time.Now()
		status, body := watcher.get(e.page)
		took = append(took, time.Since(began))
		require.Equal(t, http.StatusOK, status)
		require.Regexp(t, e.mark, body)
	}
	visit()
	first := took[0]
	require.Less(t, first, 2*time.Second)
	var all sync.WaitGroup
	all.Go(func() { e.useUntil(t, web, f.until) })
	all.Go(func() {
		status, at, _ := ada.post(path, form)
		require.Equal(t, http.StatusOK, status)
		require.Contains(t, at, e.accepted)
	})
	all.Wait()

	// What the operator sees.
	if !fault.brief {
		web.eventually(func() bool {
			report := web.health()
			if fault.health == "" {
				return report.Status == "ok"
			}
			return report.Status == "degraded" && regexp.MustCompile(fault.health).MatchString(report.Checks["redis"].Reason)
		}, "reports "+fault.health)
	}
	require.Equal(t, http.StatusOK, status(web.ops+"/up"))
	if fault.away != "" {
		require.Regexp(t, `"name":"shared","reason":"(`+fault.away+`)"`, web.output.String())
		require.Contains(t, metricsOf(t, web), `app_redis_breaker_state{redis="shared"} 1`)
		if !fault.live {
			stream.await(t, "event: degraded")
		}
	}

	// Once the fault is known. Limits are where they would be without it.
	for len(took) < requestLimit/2 {
		visit()
	}
	median := slices.Sorted(slices.Values(took[1:]))[(len(took)-1)/2]
	for _, limited := range []*visitor{watcher, greedy} {
		status, _ := limited.get(e.page)
		require.Equal(t, http.StatusTooManyRequests, status)
	}

	end()
	returned := time.Now()
	recovery := "n/a"
	if !fault.nameless {
		closed := func() bool { return strings.Contains(metricsOf(t, web), `app_redis_breaker_state{redis="shared"} 0`) }
		require.Eventually(t, closed, 5*time.Second, 5*time.Millisecond)
		recovery = time.Since(returned).Round(time.Millisecond).String()
		web.eventually(func() bool { return web.health().Status == "ok" }, "is healthy again")
		web.eventually(func() bool { return strings.Contains(metricsOf(t, web), "\napp_live_degraded 0\n") }, "receives live events again")
	}
	e.use(t, web)
	status, _ := greedy.get(e.page)
	require.Equal(t, http.StatusTooManyRequests, status, "a limit stays in force when Redis is available again")
	if fault.spoilt {
		second := start() // it has cached nothing, so it reads Redis
		second.eventually(func() bool { return second.health().Status == "ok" }, "is healthy")
		e.use(t, second)
		f.requireNoneSpoilt(e.families)
		second.stop()
	}

	// What was logged and reported.
	web.stop()
	logged := web.output.String()
	opened, closed := strings.Count(logged, "Backend is unavailable, calls are refused"), strings.Count(logged, "Backend is available again")
	requireNoFlood(t, logged)
	if fault.brief {
		require.LessOrEqual(t, opened, 11)
	} else {
		require.Equal(t, fault.away != "", opened == 1, opened)
	}
	if !fault.nameless {
		require.Equal(t, opened, closed)
	}
	reported := sentry.Requests()
	switch {
	case fault.reported == "":
		require.Empty(t, reported)
	case fault.spoilt:
		require.Len(t, reported, 2, "each process reports")
	default:
		require.Len(t, reported, 1)
	}
	for _, event := range reported {
		require.Contains(t, event, `"fingerprint":["redis/`+fault.reported+`"]`)
	}
	require.NotContains(t, logged, "DATA RACE")
	require.NotRegexp(t, `"status":5\d\d`, logged)
	_, name, _ := strings.Cut(t.Name(), "/")
	t.Logf("| %s | %s | %s | %s | %d | %d |", name, first.Round(time.Millisecond), median.Round(100*time.Microsecond), recovery,
		strings.Count(logged, "Backend call failed")+opened+closed, len(reported))
}

// useUntil is use, and use again until the end of something. Nil: once.
func (e redisExercise) useUntil(t *testing.T, web *appProcess, end <-chan struct{}) {
	t.Helper()
	for {
		e.use(t, web)
		if end == nil {
			return
		}
		select {
		case <-end:
			return
		default:
		}
	}
}
