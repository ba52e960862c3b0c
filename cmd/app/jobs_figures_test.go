package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRoles_RecordTheHistoryOfJobs(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	web, workerPG, workerRedis := d.startAll()
	d.jobs(0, "enqueue", "forget_old_notes")
	d.jobs(0, "enqueue", "broadcast_notes")
	workerPG.eventually(func() bool { return contains(workerPG, "kind=forget_old_notes") }, "runs the job")
	workerRedis.eventually(func() bool { return contains(workerRedis, "kind=broadcast_notes") }, "runs the task")
	web.eventually(func() bool { return d.query(`SELECT count(DISTINCT backend) FROM job_depths`) == 2 }, "stores the depth of the queues")

	workerPG.stop()
	workerRedis.stop()

	require.EqualValues(t, 1, d.query(`SELECT sum(done) FROM job_figures WHERE step = 1 AND kind = 'forget_old_notes' AND backend = 'pg'`))
	require.NotZero(t, d.query(`SELECT sum(done) FROM job_figures WHERE step = 1 AND kind = 'broadcast_notes' AND backend = 'redis'`))
	require.EqualValues(t, 1, d.query(`SELECT count(*) FROM app_versions`))
}

func TestRoles_ShowTheFiguresOfJobsOnMetrics(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	d.execute(`INSERT INTO river_job (kind, args, max_attempts, scheduled_at)
		SELECT 'export_notes', '{}', 3, now() - interval '1 hour' FROM generate_series(1, 3)`)
	web := d.start("web")

	web.eventually(func() bool {
		return strings.Contains(metricsOf(t, web), `app_jobs_depth{backend="pg",queue="default",state="pending"} 3`)
	}, "shows what waits, without any worker")
	web.eventually(func() bool { return strings.Contains(metricsOf(t, web), `app_jobs_backend_up{backend="redis"} 1`) }, "reads Redis")
	metrics := metricsOf(t, web)
	require.Contains(t, metrics, `app_jobs_depth{backend="redis",queue="low",state="pending"} 0`)
	require.Contains(t, metrics, `app_jobs_latency_seconds{backend="pg",queue="default"} 360`)
	require.Contains(t, metrics, `app_jobs_backend_up{backend="pg"} 1`)
	require.Contains(t, metrics, `app_jobs_outbox_depth 0`)
	require.Contains(t, metrics, `app_jobs_sample_age_seconds{backend="pg"}`)

	require.NoError(t, d.redis.Kill())
	web.eventually(func() bool { return strings.Contains(metricsOf(t, web), `app_jobs_backend_up{backend="redis"} 0`) }, "misses Redis")
	metrics = metricsOf(t, web)
	require.NotContains(t, metrics, `app_jobs_depth{backend="redis"`)
	require.NotContains(t, metrics, `app_jobs_latency_seconds{backend="redis"`)
	require.Contains(t, metrics, `app_jobs_sample_age_seconds{backend="redis"}`)

	workerPG, workerRedis := d.start("worker-pg", "SLOW_WORK=1h", "JOBS_SHUTDOWN_TIMEOUT=1s"), d.start("worker-redis")
	for _, worker := range []*appProcess{workerPG, workerRedis} {
		shows := func(line string) func() bool {
			return func() bool { return strings.Contains(metricsOf(t, worker), line) }
		}
		worker.eventually(shows(`app_jobs_backend_up{backend="redis"} 0`), "misses Redis too")
		worker.eventually(shows(`app_jobs_backend_up{backend="pg"} 1`), "reads PostgreSQL")
	}
	d.jobs(0, "enqueue", "forget_old_notes")
	for _, line := range []string{
		`app_jobs_in_flight{backend="pg"} 3`, `app_jobs_depth{backend="pg",queue="default",state="running"} 3`,
		`app_jobs_workers{backend="pg",state="working"} 1`, `app_jobs_workers{backend="redis",state="working"} 1`,
		`app_jobs_processed_total{backend="pg",kind="forget_old_notes",queue="low",result="done"} 1`,
		`app_jobs_duration_seconds_count{backend="pg",kind="forget_old_notes"} 1`,
		`app_jobs_wait_seconds_count{backend="pg",queue="low"} 1`,
	} {
		workerPG.eventually(func() bool { return strings.Contains(metricsOf(t, workerPG), line) }, "shows "+line)
	}
}

func TestWorkers_ObeyCommands(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	workerPG, workerRedis := d.start("worker-pg"), d.start("worker-redis")
	ask := func(backend, command string) {
		d.execute(`
			INSERT INTO worker_commands (process_id, command, argument)
			SELECT id, '` + command + `', '' FROM job_processes WHERE backend = '` + backend + `';
			SELECT pg_notify('worker_commands', id) FROM job_processes`)
	}
	for _, worker := range []*appProcess{workerPG, workerRedis} {
		worker.eventually(func() bool { return worker.health().Status == "ok" }, "is healthy")
	}

	ask("pg", "quiet")
	ask("redis", "stop")

	workerPG.eventually(func() bool { return status(workerPG.ops+"/ready") == http.StatusServiceUnavailable }, "takes no more jobs")
	require.Equal(t, http.StatusOK, status(workerPG.ops+"/up"))
	<-workerRedis.done
	require.Zero(t, workerRedis.cmd.ProcessState.ExitCode(), workerRedis.output.String())
	workerPG.eventually(func() bool { return d.query(`SELECT count(*) FROM job_processes WHERE state = 'quiet'`) == 1 }, "says so")
	workerPG.stop()
}
