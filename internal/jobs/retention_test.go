package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestRetention_KeepsFailedJobsUntilAnOperatorActs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	execute(t, db, `
		INSERT INTO river_job (kind, args, state, max_attempts, finalized_at)
		SELECT 'greet', '{}', state::river_job_state, 1, now() - ago::interval
		FROM (VALUES ('discarded', '400 days'), ('cancelled', '8 days'), ('cancelled', '6 days'),
		             ('completed', '3 hours'), ('completed', '1 hour')) AS jobs (state, ago)`)
	worker, err := NewPGWorker(db, Handlers{Handle(func(context.Context, greetArgs) error { return nil })}, PGWorkerOptions{
		Concurrency: map[Queue]int{Critical: 1, Default: 1, Low: 1}, ShutdownTimeout: time.Second,
		Retention: Retention{Cancelled: 7 * 24 * time.Hour, Done: 2 * time.Hour},
		Log:       (&journal{}).logger(), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)

	t.Cleanup(run(t, &journal{}, worker.Run).stop)

	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM river_job`) <= 3 })
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'discarded'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'cancelled'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`))
}

func TestRetention_ReportsAnHourBeforeItDeletesTheOldestFailedJobs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	log := &journal{}
	bound := &failedBound{
		noun: "jobs", most: 10, count: failedJobs{db}.count, trim: failedJobs{db}.trim, log: log.logger(), reporter: newReporter(),
	}
	fail := func(number int) {
		execute(t, db, `
			INSERT INTO river_job (kind, args, state, max_attempts, finalized_at)
			SELECT 'greet', '{}', 'discarded', 1, now() - n * interval '1 day' FROM generate_series(1, $1) AS n`, number)
	}
	left := func() int { return count(t, db, `SELECT count(*) FROM river_job`) }
	began := time.Now()

	fail(8)
	require.NoError(t, bound.check(t.Context(), began))
	require.Empty(t, log.String())
	fail(5)
	require.NoError(t, bound.check(t.Context(), began))
	require.Contains(t, log.String(),
		`level=ERROR msg="Failed work comes near its bound, beyond which the oldest is deleted" of=jobs failed=11 bound=10`)
	require.NoError(t, bound.check(t.Context(), began.Add(59*time.Minute)))
	require.Equal(t, 13, left(), "nothing is deleted before operators had an hour")

	require.NoError(t, bound.check(t.Context(), began.Add(time.Hour)))

	require.Equal(t, 10, left())
	require.Equal(t, 0, count(t, db, `SELECT count(*) FROM river_job WHERE finalized_at < now() - interval '5 days 1 hour'`), "the oldest")
	require.Contains(t, log.String(), `msg="Oldest failed work was deleted" of=jobs deleted=3 bound=10`)
}

func TestBacklog_CountsUpToABound(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	registry := prometheus.NewRegistry()
	backlog := NewBacklog(5*time.Minute, registry, PG)
	backlog.Jobs(db, nil)
	execute(t, db, `INSERT INTO river_job (kind, args, max_attempts, scheduled_at, priority)
		SELECT 'thing', '{}', 3, now() - interval '1 minute' * CASE WHEN n = 7 THEN 10 ELSE 1 END, 1 + n % 4 FROM generate_series(1, 10001) AS n`)

	require.ErrorContains(t, backlog.Check(t.Context()), "10000+ jobs wait in queue default, the oldest for 10m")
	require.Equal(t, map[string]float64{"pg default": 10000}, pendingBy(t, registry))
}
