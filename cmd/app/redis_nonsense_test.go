package main

import (
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestRoles_SurviveAPeerThatIsNoRedis(t *testing.T) {
	t.Parallel()
	for _, greets := range []bool{false, true} {
		t.Run(fmt.Sprintf("greets %t", greets), func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			impostor := stacktest.StartImpostor(t, d.redis, stacktest.Nonsense()[0], greets)
			web, worker := d.start("web", "REDIS_URL="+impostor.URL()), d.start("worker-redis", "REDIS_URL="+impostor.URL())
			visitor := newVisitorAt(t, web.url)

			for _, reply := range stacktest.Nonsense() {
				seen, began := impostor.Seen(), time.Now()
				impostor.Say(reply)
				stacktest.Eventually(t, func() bool { return impostor.Seen() > seen+10 && time.Since(began) > time.Second })
				page, _ := visitor.get("/")
				require.Equal(t, http.StatusOK, page, "%.60q", reply)
				for _, process := range []*appProcess{web, worker} {
					require.NotZero(t, status(process.ops+"/up"), "%s after %.60q", process.name, reply)
				}
			}
			impostor.StepAside()

			requireRecoveryFromNonsense(t, web, worker)
			for _, process := range []*appProcess{web, worker} {
				logged := process.output.String()
				require.NotContains(t, logged, "panic")
				require.NotContains(t, logged, "DATA RACE")
				t.Logf("%s: %d lines logged, at most %d MB of memory", process.name, strings.Count(logged, "\n"), peakMemory(t, process)>>20)
				require.Less(t, peakMemory(t, process), 1<<30)
			}
		})
	}
}

func TestRoles_StartBesideAPeerThatIsNoRedis(t *testing.T) {
	t.Parallel()
	for _, reply := range []string{"*0\r\n", ">0\r\n", "*2\r\n$7\r\nmessage\r\n:1\r\n", "*1000000000\r\n", "$1000000000\r\n"} {
		t.Run(fmt.Sprintf("%q", reply), func(t *testing.T) {
			t.Parallel()
			d := deploy(t)
			impostor := stacktest.StartImpostor(t, d.redis, reply, true)

			web, worker := d.start("web", "REDIS_URL="+impostor.URL()), d.start("worker-redis", "REDIS_URL="+impostor.URL())
			for _, process := range []*appProcess{web, worker} {
				process.eventually(func() bool { return process.health().Status != "ok" }, "reports its Redis")
			}
			stacktest.Eventually(t, func() bool { return impostor.Seen() > 20 })
			impostor.StepAside()

			requireRecoveryFromNonsense(t, web, worker)
		})
	}
}

// Private

// requireRecoveryFromNonsense waits until a change that one visitor makes reaches the
// page of another through both processes.
func requireRecoveryFromNonsense(t *testing.T, web, worker *appProcess) {
	t.Helper()
	for _, process := range []*appProcess{web, worker} {
		process.eventually(func() bool { return process.health().Status == "ok" }, "is healthy")
	}
	web.eventually(func() bool { return strings.Contains(metricsOf(t, web), "\napp_live_degraded 0\n") }, "receives live events")
	stream := openEvents(t, newVisitorAt(t, web.url), "/live")
	stream.await(t, "event: live")
	status, _, _ := newVisitorAt(t, web.url).post("/notes", newNote())
	require.Equal(t, http.StatusOK, status)
	stream.await(t, "note-count")
}

// peakMemory is the most memory that a process has had, in bytes.
func peakMemory(t *testing.T, p *appProcess) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	require.NoError(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(t, found)
	kilobytes, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	return kilobytes << 10
}
