package main

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestInstallations_ThatShareARedisNeverMeet(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]struct{ database, installation string }{
		"different PostgreSQL databases":             {"/0", ""},
		"also different databases of Redis":          {"/1", ""},
		"one name, but different databases of Redis": {"/1", "INSTALLATION=same"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := deploy(t), deploy(t)
			b.redis = a.redis
			b.environment["REDIS_URL"] = strings.TrimSuffix(a.redis.URL(), "/0") + settings.database
			limits := []string{"RACK_ATTACK_ENABLED=true", "RACK_ATTACK_REQ_IP_LIMIT=40", "RACK_ATTACK_REQ_IP_PERIOD=86400", settings.installation}
			webA, webB := a.start("web", limits...), b.start("web", limits...)
			a.start("worker-redis", settings.installation)
			for _, web := range []*appProcess{webA, webB} {
				web.eventually(func() bool { return strings.Contains(metricsOf(t, web), "\napp_live_degraded 0\n") }, "receives live events")
			}
			visitorA, visitorB := newVisitor(t, webA.url), newVisitor(t, webB.url)
			streamA, streamB := openEvents(t, visitorA, "/live"), openEvents(t, visitorB, "/live")
			streamA.await(t, "event: live")
			streamB.await(t, "event: live")
			post := func(v *visitor) {
				t.Helper()
				status, _, _ := v.post("/notes", newNote())
				require.Equal(t, http.StatusOK, status)
			}

			// The tasks of B wait for a worker of B.
			post(visitorB)
			for range 3 {
				post(visitorA)
			}
			webA.eventually(func() bool { return a.archived() == 3 }, "has its notes archived")
			streamA.await(t, "3 notes")
			require.Zero(t, b.archived())
			b.start("worker-redis", settings.installation)
			webB.eventually(func() bool { return b.archived() == 1 }, "has its note archived")

			// An open page of B shows only what happens in B.
			require.Contains(t, streamB.await(t, "note-count"), "1 notes")
			post(visitorB)
			require.Contains(t, streamB.await(t, "note-count"), "2 notes")

			// A client that A refuses is welcome in B.
			webA.eventually(func() bool { return status(webA.url+"/thanks") == http.StatusTooManyRequests }, "refuses a client")
			require.Equal(t, http.StatusOK, status(webB.url+"/thanks"))

			// Every key names its installation.
			keys, is := stacktest.RedisCommand(t, a.redis, "KEYS", "*").([]any)
			require.True(t, is)
			require.NotEmpty(t, keys)
			for _, key := range keys {
				require.Regexp(t, regexp.MustCompile(`^(asynq:\{)?slipway:(test/[\w.%-]+|same):|^asynq:(queues|servers|workers)`), key)
			}
		})
	}
}
