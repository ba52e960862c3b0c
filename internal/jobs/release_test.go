package jobs

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres/pgtest"
)

func TestRelease_GivesJobsOfADeadWorkerTheirAttemptBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	enqueue(t, db, queue, "ada")
	enqueue(t, db, queue, "bob")
	die(t, db, 1)
	survivor := newTestHeartbeat(db)
	survivor.deadAfter = patience // or a pause of this machine makes the survivor count as dead
	require.NoError(t, survivor.beat(t.Context()))
	survivor.steadySince = time.Now().Add(-time.Hour)

	beating := run(t, &journal{}, survivor.run)

	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`) == 2
	})
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM job_processes`))
	require.NoError(t, beating.end(t))
	require.Zero(t, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestRelease_NeverReleasesTheJobsOfItsOwnWorker(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	worker := newTestHeartbeat(db)
	require.NoError(t, worker.beat(t.Context()))
	execute(t, db, `UPDATE river_job SET state = 'running', attempt = 1, attempted_by = ARRAY[$1]`, worker.process.ID)
	execute(t, db, `UPDATE job_processes SET beat_at = now() - interval '1 hour'`) // the process stood still after its heartbeat

	require.NoError(t, worker.releaseDead(t.Context()))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'running'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM job_processes`))
}

func TestRelease_LeavesAWorkerThatMissedAHeartbeat(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	die(t, db, 1)
	execute(t, db, `UPDATE job_processes SET beat_at = now() - interval '15 seconds'`)
	other := newTestHeartbeat(db)
	other.deadAfter = deadAfter
	require.NoError(t, other.beat(t.Context()))

	require.NoError(t, other.releaseDead(t.Context()))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'running'`))
	execute(t, db, `UPDATE job_processes SET beat_at = now() - interval '21 seconds' WHERE id = 'dead'`)
	execute(t, db, `INSERT INTO unique_jobs VALUES ('old', now() - interval '1 hour'), ('new', now())`)
	other.prunedAt = time.Time{}
	require.NoError(t, other.releaseDead(t.Context()))

	require.Zero(t, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'running'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM unique_jobs`), "a claim whose time is over is deleted")
}

func TestRelease_LeavesJobsOfUnknownWorkersAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	execute(t, db, `UPDATE river_job SET state = 'running', attempt = 1, attempted_by = '{"a worker of the last release"}'`)
	survivor := newTestHeartbeat(db)

	for range 3 {
		require.NoError(t, survivor.beat(t.Context()))
		require.NoError(t, survivor.releaseDead(t.Context()))
	}

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'running'`))
}

func TestRelease_FindsAWorkerThatDiedBeforeTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	die(t, db, 1)
	execute(t, db, `UPDATE job_processes SET beat_at = now() + interval '1 hour'`)

	require.NoError(t, newTestHeartbeat(db).releaseDead(t.Context()))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`))
}

func TestRelease_CancelsAJobWithACancelRequest(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "ada")
	die(t, db, 1)
	execute(t, db, `UPDATE river_job SET metadata = '{"cancel_attempted_at": "2026-11-23T00:00:00Z"}'`)

	require.NoError(t, newTestHeartbeat(db).releaseDead(t.Context()))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'cancelled' AND finalized_at IS NOT NULL`))
}

func TestRelease_DiscardsAJobThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	enqueue(t, db, newJobs(t, db, prometheus.NewRegistry()), "eve")
	execute(t, db, `UPDATE river_job SET max_attempts = 2`)
	survivor := newTestHeartbeat(db)
	reporter, sent := sentryReporter(t)
	survivor.releaser.reporter = reporter

	for range taskqueue.FreeCrashes {
		die(t, db, 1)
		require.NoError(t, survivor.releaseDead(t.Context()))
		require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0`))
	}
	die(t, db, 1)
	require.NoError(t, survivor.releaseDead(t.Context()))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'retryable' AND attempt = 1 AND scheduled_at > now()`))
	require.Empty(t, sent.Requests())
	die(t, db, 2)
	for range 2 {
		require.NoError(t, survivor.releaseDead(t.Context()))
	}

	require.Equal(t, 1, count(t, db, `
		SELECT count(*) FROM river_job
		WHERE state = 'discarded' AND errors[2]->>'error' LIKE 'the worker died 7 times%'`))
	reporter.Close()
	body := sent.Await(t, 1)
	require.Contains(t, body, `"source":"job greet"`)
	require.Contains(t, body, `"id":"1"`)
	require.Contains(t, body, "the worker died 7 times")
	require.Len(t, sent.Requests(), 1)
}

// Private

// die assigns all jobs to a dead worker.
func die(t *testing.T, db *pgxpool.Pool, attempt int) {
	t.Helper()
	execute(t, db, `
		INSERT INTO job_processes (id, backend, host, pid, version, queues, concurrency, state, beat_at)
		VALUES ('dead', 'pg', 'host', 1, 'v1', '{}', 1, 'working', now() - interval '1 hour')`)
	execute(t, db, `UPDATE river_job SET state = 'running', attempt = $1, attempted_by = attempted_by || '{"dead"}'::text[]`, attempt)
}
