package recurring

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestScheduler_SeveralSchedulersEnqueueEachRunOnce(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, args: {store: 7}, schedule: every second, catch_up: all}\n"+
		"flash: {kind: wave, schedule: every second, catch_up: all}")
	s.copies(t, 3)

	s.await(t, `SELECT count(*) >= 4 FROM recurring_runs WHERE task_key = 'tick'`)
	s.await(t, `SELECT count(*) >= 4 FROM recurring_runs WHERE task_key = 'flash'`)
	s.stop()

	for key, kind := range map[string]string{"tick": "sweep", "flash": "carry_task"} {
		var runs, enqueued, gaps int
		s.query(t, `SELECT count(*), count(*) FILTER (WHERE gap <> interval '1 second') FROM (
			SELECT run_at - lag(run_at) OVER (ORDER BY run_at) AS gap FROM recurring_runs WHERE task_key = $1) AS runs`, []any{key}, &runs, &gaps)
		s.query(t, `SELECT count(*) FROM river_job WHERE kind = $1`, []any{kind}, &enqueued)
		require.Equal(t, runs, enqueued, key)
		require.Zero(t, gaps, key)
	}
	var others int
	s.query(t, `SELECT count(*) FROM river_job WHERE kind = 'sweep' AND args <> '{"store": 7}'`, nil, &others)
	require.Zero(t, others)
}

func TestScheduler_EnqueuesRunsThatWereMissedWithoutAnyWorker(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every hour}\nall: {kind: sweep, schedule: every hour, catch_up: all}")
	s.copies(t, 1)
	s.await(t, `SELECT count(*) = 2 FROM recurring_tasks`)
	s.stop()
	_, err := s.db.Exec(t.Context(), `UPDATE recurring_tasks SET last_run_at = date_trunc('hour', now()) - interval '3 hours'`)
	require.NoError(t, err)

	s.copies(t, 2)

	s.await(t, `SELECT count(*) = 1 FROM recurring_runs WHERE task_key = 'tick'`)
	s.await(t, `SELECT count(*) = 3 FROM recurring_runs WHERE task_key = 'all'`)
}

func TestScheduler_TwoWorkersRunATimeOfDayOnceInTheNight(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every day at 2:30am Europe/Vienna, catch_up: all}")
	s.copies(t, 1)
	s.await(t, `SELECT count(*) = 1 FROM recurring_tasks`)
	s.stop()
	before := at(t, "2026-10-25T00:00:00Z")

	for _, minutes := range []int{30, 31, 61, 90, 91, 150} {
		now := before.Add(time.Duration(minutes) * time.Minute)
		for range 2 { // the second worker has read the time of the last run before the first one stored it
			scheduler := NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler))
			require.NoError(t, scheduler.catchUp(t.Context(), s.entries[0], before, now))
		}
	}

	var runs, enqueued int
	s.query(t, `SELECT (SELECT count(*) FROM recurring_runs), (SELECT count(*) FROM river_job)`, nil, &runs, &enqueued)
	require.Equal(t, 1, runs)
	require.Equal(t, 1, enqueued)
}

func TestScheduler_SkipsARunWhileThePreviousOneIsNotDone(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every second, overlap: skip}\nflash: {kind: wave, schedule: every second, overlap: skip}")
	s.copies(t, 2)

	s.await(t, `SELECT count(*) >= 2 FROM recurring_runs WHERE task_key = 'tick' AND skipped`)
	s.await(t, `SELECT count(*) >= 2 FROM recurring_runs WHERE task_key = 'flash' AND skipped`)
	var tick, flash int
	s.query(t, `SELECT count(*) FILTER (WHERE kind = 'sweep'), count(*) FILTER (WHERE kind = 'carry_task') FROM river_job`, nil, &tick, &flash)
	require.Equal(t, 1, tick)
	require.Equal(t, 1, flash)

	_, err := s.db.Exec(t.Context(), `UPDATE river_job SET state = 'completed', finalized_at = now() WHERE kind = 'sweep'`)
	require.NoError(t, err)
	s.await(t, `SELECT count(*) = 2 FROM river_job WHERE kind = 'sweep'`)
}

func TestScheduler_SkipsNoRunBecauseRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	s := setup(t, "flash: {kind: wave, schedule: every second, overlap: skip}")
	_, err := s.db.Exec(t.Context(), `INSERT INTO recurring_runs (task_key, run_at) VALUES ('flash', now() - interval '1 hour')`)
	require.NoError(t, err)
	require.NoError(t, s.redis.Kill())

	s.copies(t, 2)

	// The first run waits in the outbox. Later runs would only pile up.
	s.await(t, `SELECT count(*) >= 2 FROM recurring_runs WHERE skipped`)
	var outbox int
	s.query(t, `SELECT count(*) FROM river_job WHERE kind = 'carry_task'`, nil, &outbox)
	require.Equal(t, 1, outbox)
}

func TestScheduler_FindsThePreviousRunWhenTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every day at 4am, overlap: skip}")
	scheduler := NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler))
	for _, run := range []string{"2 days", "1 day"} {
		_, err := s.db.Exec(t.Context(), `
			INSERT INTO recurring_runs (task_key, run_at, enqueued_at)
			VALUES ('tick', now() - $1::interval, now() - $1::interval + interval '3 days')`, run)
		require.NoError(t, err)
	}
	var before time.Time
	s.query(t, `SELECT max(run_at) FROM recurring_runs`, nil, &before)
	require.NoError(t, pgx.BeginFunc(t.Context(), s.db, func(tx pgx.Tx) error {
		run := jobs.NamedRun{Name: runID("tick", before), Handler: jobKinds[0], Queue: jobs.Low, Args: []byte("{}")}
		_, err := s.jobs.EnqueueRun(t.Context(), tx, run)
		return err
	}))

	require.NoError(t, scheduler.enqueue(t.Context(), s.entries[0], before.Add(time.Hour), false))

	var skipped int
	s.query(t, `SELECT count(*) FROM recurring_runs WHERE skipped`, nil, &skipped)
	require.Equal(t, 1, skipped)
}

func TestScheduler_ContinuesWhenAnOlderReleaseStarts(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every second}\nnew: {kind: sweep, schedule: every second}")
	s.copies(t, 1)
	s.await(t, `SELECT count(DISTINCT task_key) = 2 FROM recurring_runs`)

	older, err := Parse([]byte("tick: {kind: sweep, schedule: every hour}\ngone: {kind: sweep, schedule: every hour}"), jobKinds, taskKinds)
	require.NoError(t, err)
	require.NoError(t, NewScheduler(s.db, s.jobs, s.tasks, older, slog.New(slog.DiscardHandler)).register(t.Context()))
	var before int
	s.query(t, `SELECT count(*) FROM recurring_runs`, nil, &before)

	s.await(t, fmt.Sprintf(`SELECT count(*) >= %d FROM recurring_runs`, before+6))
	s.await(t, `SELECT count(*) = 2 FROM (SELECT task_key FROM recurring_runs WHERE run_at > now() - interval '3 seconds' GROUP BY 1) AS keys`)
	_, err = s.db.Exec(t.Context(), `UPDATE recurring_tasks SET updated_at = now() - interval '25 hours'`)
	require.NoError(t, err)
	require.NoError(t, NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler)).register(t.Context()))
	var registered int
	s.query(t, `SELECT count(*) FROM recurring_tasks WHERE key IN ('tick', 'new')`, nil, &registered)
	require.Equal(t, 2, registered)
	s.query(t, `SELECT count(*) FROM recurring_tasks`, nil, &registered)
	require.Equal(t, 2, registered)
}

func TestScheduler_DeletesOldRunsExceptTheNewest(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every hour}")
	for _, run := range []string{"3 days", "2 days"} {
		_, err := s.db.Exec(t.Context(), `
			INSERT INTO recurring_runs (task_key, run_at, enqueued_at)
			VALUES ('tick', now() - $1::interval, now() - $1::interval)`, run)
		require.NoError(t, err)
	}

	require.NoError(t, NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler)).register(t.Context()))

	var stored int
	s.query(t, `SELECT count(*) FROM recurring_runs WHERE run_at < now() - interval '1 day'`, nil, &stored)
	require.Equal(t, 1, stored)
}

func TestScheduler_StoresTheNextRunBeforeTheFirstOne(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every day at 4am}\noff: {kind: sweep, schedule: every hour, enabled: false}")
	register := func() {
		require.NoError(t, NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler)).register(t.Context()))
	}
	next := func() (next time.Time) {
		s.query(t, `SELECT next_run_at FROM recurring_tasks WHERE key = 'tick'`, nil, &next)
		return next.UTC()
	}

	register()
	require.Equal(t, 4, next().Hour())
	s.await(t, `SELECT next_run_at IS NULL FROM recurring_tasks WHERE key = 'off'`)

	var err error
	s.entries, err = Parse([]byte("tick: {kind: sweep, schedule: every day at 5am}"), jobKinds, taskKinds)
	require.NoError(t, err)
	register()
	require.Equal(t, 5, next().Hour())
}

func TestScheduler_RunsNow(t *testing.T) {
	t.Parallel()
	s := setup(t, "tick: {kind: sweep, schedule: every day at 4am, enabled: false}")
	scheduler := NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler))

	require.NoError(t, scheduler.RunNow(t.Context(), "tick"))
	require.NoError(t, scheduler.RunNow(t.Context(), "tick"))
	require.ErrorIs(t, scheduler.RunNow(t.Context(), "tock"), ErrNoSuchEntry)

	var manual, jobs int
	s.query(t, `SELECT (SELECT count(*) FROM recurring_runs WHERE manual), (SELECT count(*) FROM river_job)`, nil, &manual, &jobs)
	require.Equal(t, 2, manual)
	require.Equal(t, 2, jobs)
}

func TestScheduler_EnqueuesNothingWhilePaused(t *testing.T) {
	t.Parallel()
	s := setup(t, "paused: {kind: sweep, schedule: every hour}\nother: {kind: sweep, schedule: every hour}")
	scheduler := NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler))
	require.NoError(t, scheduler.round(t.Context()))
	_, err := s.db.Exec(t.Context(), `
		UPDATE recurring_tasks
		SET last_run_at = date_trunc('hour', now()) - interval '2 hours', paused_at = CASE WHEN key = 'paused' THEN now() END`)
	require.NoError(t, err)

	require.NoError(t, scheduler.round(t.Context()))

	var paused, other int
	s.query(t, `
		SELECT count(*) FILTER (WHERE task_key = 'paused'), count(*) FILTER (WHERE task_key = 'other')
		FROM recurring_runs`, nil, &paused, &other)
	require.Zero(t, paused)
	require.Equal(t, 1, other)
}

// Private

type sweepArgs struct {
	Store int `json:"store"`
}

func (sweepArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "sweep", Queue: jobs.Low}
}

type waveArgs struct{}

func (waveArgs) Declare() jobs.Declaration { return jobs.Declaration{Kind: "wave"} }

var (
	jobKinds  = jobs.Handlers{jobs.Handle(func(context.Context, sweepArgs) error { return nil })}
	taskKinds = jobs.Handlers{jobs.Handle(func(context.Context, waveArgs) error { return nil })}
)

var migrations fs.FS = fstest.MapFS{"00001_nothing.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}

type schedulers struct {
	db      *pgxpool.Pool
	redis   *devstack.Redis
	jobs    *jobs.Jobs
	tasks   *jobs.Tasks
	entries []Entry
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// setup parses a file, and starts a database and a Redis for it.
func setup(t *testing.T, file string) *schedulers {
	t.Helper()
	s := &schedulers{db: pgtest.New(t, migrations), redis: stacktest.Redis(t)}
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	var err error
	s.jobs, err = jobs.NewJobs(s.db, metrics)
	require.NoError(t, err)
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	guard := failopen.NewGuard(failopen.Options{URL: s.redis.URL(), Timeout: time.Second}, reporter)
	s.tasks, err = jobs.NewTasks(guard, s.jobs, metrics)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.tasks.Close()) })
	s.entries, err = Parse([]byte(file), jobKinds, taskKinds)
	require.NoError(t, err)
	return s
}

// copies runs several schedulers until the test ends or stops them.
func (s *schedulers) copies(t *testing.T, count int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	for range count {
		s.running.Go(func() { _ = NewScheduler(s.db, s.jobs, s.tasks, s.entries, slog.New(slog.DiscardHandler)).Run(ctx) })
	}
	t.Cleanup(s.stop)
}

func (s *schedulers) stop() {
	s.cancel()
	s.running.Wait()
}

func (s *schedulers) await(t *testing.T, question string) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		var yes bool
		s.query(t, question, nil, &yes)
		return yes
	}, question)
}

func (s *schedulers) query(t *testing.T, statement string, arguments []any, into ...any) {
	t.Helper()
	require.NoError(t, s.db.QueryRow(t.Context(), statement, arguments...).Scan(into...))
}
