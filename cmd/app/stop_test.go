package main

import (
	"net/http"
	"net/url"
	"syscall"
	"testing"
	"time"

	"slipway/internal/devstack"

	"github.com/stretchr/testify/require"
)

// TestRoles_ExitWithZeroWhateverIsUnavailable stops roles that work and roles that
// still wait for their backends, while backends are killed or frozen.
func TestRoles_ExitWithZeroWhateverIsUnavailable(t *testing.T) {
	t.Parallel()
	type outage struct{ postgres, redis func(*testing.T, faulty) }
	none := func(*testing.T, faulty) {}
	kill := func(t *testing.T, server faulty) { t.Helper(); require.NoError(t, server.Kill()) }
	freeze := func(t *testing.T, server faulty) { t.Helper(); require.NoError(t, server.Freeze()) }
	for name, outage := range map[string]outage{
		"postgres is away": {kill, none}, "redis is away": {none, kill}, "both are away": {kill, kill}, "both are frozen": {freeze, freeze},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, postgres := deployAlone(t)
			working := startBusy(d)

			outage.postgres(t, postgres)
			outage.redis(t, d.redis)
			waiting := []*appProcess{d.start("web", briefly...), d.start("worker-pg", briefly...), d.start("worker-redis", briefly...)}

			for _, p := range append(working, waiting...) {
				requireStopInOrder(t, p)
			}
		})
	}
}

func TestRoles_ExitWithZeroWhileTheDatabaseRefusesThem(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	address, err := url.Parse(d.databaseURL)
	require.NoError(t, err)
	address.Path += "_that_does_not_exist"
	d.environment["DATABASE_URL"] = address.String()
	var all []*appProcess
	for _, role := range roleNames() {
		all = append(all, d.start(role, briefly...))
	}
	for _, p := range all {
		p.eventually(func() bool { return status(p.ops+"/up") == http.StatusServiceUnavailable && contains(p, "3D000") }, "is refused")
		requireStopInOrder(t, p)
	}
}

// Private

// briefly is the setting of a worker that has one second to finish its work.
var briefly = []string{"JOBS_SHUTDOWN_TIMEOUT=1s", "SHUTDOWN_TIMEOUT=8s", "SLOW_WORK=1h"}

// faulty is a server that a test can kill or freeze.
type faulty interface {
	Kill() error
	Freeze() error
}

var (
	_ faulty = (*devstack.Postgres)(nil)
	_ faulty = (*devstack.Redis)(nil)
)

// startBusy starts each role. Its worker-pg runs a job that does not end by itself.
func startBusy(d *deployment) []*appProcess {
	d.t.Helper()
	all := []*appProcess{d.start("web", briefly...), d.start("worker-pg", briefly...), d.start("worker-redis", briefly...)}
	for _, p := range all {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
	d.jobs(0, "enqueue", "export_notes")
	all[1].eventually(func() bool { return d.query(`SELECT count(*) FROM river_job WHERE state = 'running'`) == 1 }, "runs the job")
	return all
}

// requireStopInOrder sends SIGTERM and requires exit code 0 within the budget of
// the role, and a log that names no work where there is none.
func requireStopInOrder(t *testing.T, p *appProcess) {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.done:
	case <-time.After(time.Second + workerStopMargin):
		require.Fail(t, p.name+" did not stop within its budget", p.output.String())
	}
	require.Zero(t, p.cmd.ProcessState.ExitCode(), p.output.String())
	require.Contains(t, p.output.String(), "Role stopped")
	require.NotContains(t, p.output.String(), "Error:")
	require.NotContains(t, p.output.String(), "Jobs still run")
}
