package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/health"
	"slipway/internal/postgres/pgtest"
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

func TestRoles_LogOnceThatTheSchemaIsBehind(t *testing.T) {
	t.Parallel()
	d := deployOn(t, pgtest.Empty(t))
	all := []*appProcess{d.start("web"), d.start("worker-pg"), d.start("worker-redis")}
	for _, p := range all {
		p.eventually(func() bool { return contains(p, "Program waits for a migration") }, "says what it waits for")
	}

	several := time.NewTimer(3 * time.Second) // several rounds of each loop
	<-several.C

	for _, p := range all {
		require.Equal(t, 1, strings.Count(p.output.String(), "run app migrate"), p.output.String())
		require.NotContains(t, p.output.String(), "Scheduler could not check")
		require.Contains(t, p.output.String(), `database_has="River 0, runtime 0, application 0" program_needs="River `)
	}
}

func TestWorkers_SayWhichRightsTheyLack(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	role := fmt.Sprintf("limited_%d", time.Now().UnixNano())
	d.execute(`CREATE ROLE ` + role + ` LOGIN PASSWORD 'secret'; GRANT ALL ON ALL TABLES IN SCHEMA public TO ` + role +
		`; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO ` + role + `; REVOKE DELETE ON river_leader FROM ` + role)
	defer d.execute(`DROP OWNED BY ` + role + `; DROP ROLE ` + role)
	address, err := url.Parse(d.databaseURL)
	require.NoError(t, err)
	address.User = url.UserPassword(role, "secret")
	worker := d.start("worker-pg", "DATABASE_URL="+address.String())
	worker.eventually(func() bool { return worker.health().Checks["rights"].Reason != "not probed yet" }, "has looked")

	require.Equal(t, "error", worker.health().Status)
	require.Contains(t, worker.health().Checks["rights"].Reason, "GRANT DELETE ON TABLE river_leader TO the user in DATABASE_URL")

	d.execute(`GRANT DELETE ON river_leader TO ` + role)
	worker.eventually(func() bool { return worker.health().Checks["rights"].Status == "ok" }, "is well")
	worker.stop()
}

func TestWorkers_SayThatWorkWaitsForConnections(t *testing.T) {
	t.Parallel()
	d := deploy(t)
	worker := d.start("worker-pg", "DATABASE_POOL_SIZE=4", "DATABASE_LOCK_TIMEOUT=1m", "WORKER_STATEMENT_TIMEOUT=1m")
	worker.eventually(func() bool { return worker.health().Checks["pool"].Status == "ok" }, "has connections")
	holder, err := pgx.Connect(t.Context(), d.databaseURL)
	require.NoError(t, err)
	defer holder.Close(context.Background())
	tx, err := holder.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE notes`)
	require.NoError(t, err)

	d.execute(`
		INSERT INTO river_job (kind, args, max_attempts, queue)
		SELECT 'confirm_note', '{"note_id": 1}', 5, 'critical' FROM generate_series(1, 8)`)

	worker.eventually(func() bool { return worker.health().Checks["pool"].Status == "degraded" }, "finds that jobs wait")
	require.Regexp(t, `^work waits up to .* for a connection: \d+ wait now, and 4 of 4 are in use$`, worker.health().Checks["pool"].Reason)
	require.NoError(t, tx.Rollback(t.Context()))
	worker.eventually(func() bool { return worker.health().Checks["pool"].Status == "ok" }, "is well")
	worker.stop()
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
		return d.query(`SELECT count(*) FROM river_job WHERE kind = 'export_notes' AND state = 'completed'`) == 1
	}, "finishes the job in the other's place")
}
