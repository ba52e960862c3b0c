package main

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"

	"github.com/stretchr/testify/require"
)

// What a deploy may take.
const (
	deployLimit = 30 * time.Second
	drainLimit  = 15 * time.Second // Kamal's is 30
	stopLimit   = 8 * time.Second  // Kamal's is 10
)

// release is one version of an application in all three roles.
type release struct {
	d       *deployment
	version string
	target  *target
	web     *appProcess

	workerPG, workerRedis *appProcess
}

// prepareForSwaps shortens what makes a deploy wait.
func (d *deployment) prepareForSwaps() {
	maps.Copy(d.environment, map[string]string{
		"LIVE_STREAM_LIFETIME": "4s",
		// A busy machine must not count as an outage of Redis.
		"REDIS_TIMEOUT": "2s", "REDIS_BUDGET": "2s",
		// The race detector sleeps for a second at every exit.
		"GORACE": "atexit_sleep_ms=0",
	})
}

// release starts the web of a version.
func (d *deployment) release(version string, more ...string) *release {
	d.t.Helper()
	web := d.start("web", append(more, "KAMAL_VERSION="+version)...)
	require.Contains(d.t, metricsOf(d.t, web), fmt.Sprintf(`version="%s"`, version))
	return &release{d: d, version: version, web: web, target: newTarget(d.t, web)}
}

// serve makes the release the one that gets requests.
func (r *release) serve(proxy *drainingProxy, suits func(old *target) bool) {
	r.d.t.Helper()
	ctx, cancel := context.WithTimeout(r.d.t.Context(), deployLimit)
	defer cancel()
	require.NoError(r.d.t, proxy.swap(ctx, r.target, suits))
}

func (r *release) startWorkers() {
	r.d.t.Helper()
	r.workerPG = r.d.start("worker-pg", "KAMAL_VERSION="+r.version)
	r.workerRedis = r.d.start("worker-redis", "KAMAL_VERSION="+r.version)
	for _, p := range []*appProcess{r.workerPG, r.workerRedis} {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
}

var inFlight = regexp.MustCompile(`\napp_http_requests_in_flight (\d+)\n`)

// hasAllRequests reports whether all requests of the proxy have reached the web.
func (r *release) hasAllRequests() bool {
	sent := r.target.open() // counted first: it only falls, and the web's never lies above it
	arrived := inFlight.FindStringSubmatch(metricsOf(r.d.t, r.web))
	return len(arrived) == 2 && arrived[1] == strconv.Itoa(sent)
}
