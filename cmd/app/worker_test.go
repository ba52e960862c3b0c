package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/health"
)

func TestWorkers_WorkNothingOnASchemaThatIsTooOld(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`ALTER TABLE goose_db_version RENAME TO not_migrated`)
	pg, redis := d.start("worker-pg"), d.start("worker-redis", "LOG_LEVEL=debug")
	for _, worker := range []*appProcess{pg, redis} {
		worker.eventually(func() bool {
			response, err := http.Get(worker.ops + "/up")
			require.NoError(t, err)
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			return strings.Contains(string(body), "run app migrate")
		}, "reports what is missing")
	}
	d.jobs(0, "enqueue", "forget_old_notes")
	d.jobs(0, "enqueue", "broadcast_notes")
	require.Zero(t, d.query(`SELECT count(*) FROM river_job WHERE kind = 'forget_old_notes' AND attempt > 0`))
	require.NotContains(t, pg.output.String(), "Worker takes jobs")
	require.NotContains(t, redis.output.String(), "Worker takes tasks")

	d.execute(`ALTER TABLE not_migrated RENAME TO goose_db_version`)

	pg.eventually(func() bool {
		return strings.Contains(pg.output.String(), `"Job finished" result=done kind=forget_old_notes`)
	}, "works the job")
	redis.eventually(func() bool {
		return strings.Contains(redis.output.String(), `"Task finished" result=done kind=broadcast_notes`)
	}, "works the task")
}

func TestWorkers_NeverBeginWhenTheyWereMadeQuietBefore(t *testing.T) {
	t.Parallel()
	checks := health.New(prometheus.NewRegistry())
	checks.Booted()
	checks.Retire()
	ctx, stop := context.WithCancel(t.Context())
	stop()

	began := false
	require.NoError(t, whenSchemaFits(checks, func(context.Context) error { began = true; return nil })(ctx))

	require.False(t, began)
}

func TestWorkerPG_SIGTERMHandsBackWhatIsNotFinished(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	worker := d.start("worker-pg", "SLOW_WORK=1h", "JOBS_SHUTDOWN_TIMEOUT=1s")
	d.jobs(0, "enqueue", "export_notes")
	worker.eventually(func() bool { return d.query(`SELECT count(*) FROM river_job WHERE state = 'running'`) == 1 }, "runs the job")

	took := worker.stop()

	require.Less(t, took, 5*time.Second)
	require.EqualValues(t, 1, d.query(`SELECT count(*) FROM river_job WHERE kind = 'export_notes' AND state = 'available' AND attempt = 0`))
	d.start("worker-pg", "SLOW_WORK=1ms").eventually(func() bool {
		return d.query(`SELECT count(*) FROM river_job WHERE state = $1`, "completed") == 1
	}, "finishes the job in the other's place")
}
