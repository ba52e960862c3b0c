package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// TestWeb_RedisFaults lives through the catalogue of faults. Whatever happens to
// Redis, pages, forms and event streams work, and limits hold. The cases share a
// database; each has a Redis and a web process of its own.
func TestWeb_RedisFaults(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	exercise := redisExercise{
		page: "/thanks", mark: "Thank you", accepted: "/thanks",
		prepare: writeNote,
		use: func(t *testing.T, web *appProcess) {
			t.Helper()
			eve := newVisitorAt(t, web.url)
			for _, path := range []string{"/", "/thanks"} {
				status, _ := eve.get(path)
				require.Equal(t, http.StatusOK, status, path)
			}
			openEvents(t, eve, "/live").await(t, "retry: ")
			status, at, body := eve.post("/notes", newNote())
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, "/thanks", at)
			require.Contains(t, body, "Thank you.")
		},
		families: []string{"cache:", "live:"},
	}
	for name, fault := range redisFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			exercise.suffer(t, *d, fault)
		})
	}
}

// TestWorkerRedis_CannotWorkOnACluster: the library of the task queue needs a
// Redis without cluster mode.
func TestWorkerRedis_CannotWorkOnACluster(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	cluster := stacktest.RedisCluster(t)

	worker := d.start("worker-redis", "REDIS_URL="+cluster.URL())
	worker.eventually(func() bool { return worker.health().Checks["redis"].Reason != "not probed yet" }, "has probed Redis")

	require.Equal(t, "error", worker.health().Status)
	require.Equal(t, "error", worker.health().Checks["redis"].Status)
	require.Contains(t, worker.health().Checks["redis"].Reason, "cluster: Redis refuses calls: it is in cluster mode")
	worker.eventually(func() bool { return status(worker.ops+"/up") == http.StatusOK }, "is up all the same")
	worker.stop()
	require.Equal(t, 1, strings.Count(worker.output.String(), "Backend is unavailable, calls are refused"))
	require.LessOrEqual(t, strings.Count(worker.output.String(), "Backend call failed"), 10)
}
