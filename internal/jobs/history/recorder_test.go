package history

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestRecorder_ProcessesAddToTheSameRows(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	var all sync.WaitGroup
	for range 4 {
		recorder := newRecorder(t, db)
		all.Go(func() {
			for range 25 {
				run := ran("mail", "done", 100*time.Millisecond)
				run.Waited = 10 * time.Millisecond
				recorder.Observe(run)
				recorder.Observe(ran("mail", "failed", time.Minute))
				recorder.Observe(ran(fmt.Sprint("other", time.Now().UnixNano()%7), "later", time.Hour))
				require.NoError(t, recorder.flush(t.Context()))
			}
		})
	}
	all.Wait()

	kinds, err := New(db).ByKind(t.Context(), Query{Kind: "mail"})

	require.NoError(t, err)
	require.Len(t, kinds, 1)
	mail := kinds[0]
	require.Equal(t, "pg default mail", mail.Backend+" "+mail.Queue+" "+mail.Kind)
	require.EqualValues(t, 100, mail.Done)
	require.EqualValues(t, 100, mail.Failed)
	require.EqualValues(t, 200, mail.Processed())
	require.EqualValues(t, 200, mail.Run.Count)
	require.InEpsilon(t, 100*time.Millisecond, mail.Run.P50, 0.25)
	require.InEpsilon(t, time.Minute, mail.Run.P95, 0.25)
	require.InEpsilon(t, 30050*time.Millisecond, mail.Run.Mean, 0.01)
	require.EqualValues(t, 100, mail.Wait.Count)
	require.InEpsilon(t, 10*time.Millisecond, mail.Wait.P95, 0.25)
	for _, step := range storedSteps {
		require.Equal(t, 300, count(t, db, `SELECT sum(done + failed + later) FROM job_figures WHERE step = $1`, step))
	}
}

func TestRecorder_WritesWhatIsLeftWhenItStops(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	recorder := newRecorder(t, db)
	recorder.every = time.Hour
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- recorder.Run(ctx, nil) }()
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM app_versions`) == 1 }, "has begun")

	recorder.Observe(ran("mail", "returned", time.Second))
	stop()

	require.NoError(t, <-ended)
	require.Equal(t, 1, count(t, db, `SELECT sum(returned) FROM job_figures WHERE step = 1`))
}

func TestRecorder_TheDatabaseSaysWhichMinuteItIs(t *testing.T) {
	t.Parallel()
	for _, wrong := range []time.Duration{-26 * time.Hour, -90 * time.Second, 0, 90 * time.Second, 26 * time.Hour} {
		t.Run(wrong.String(), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t, migrations)
			recorder := newRecorder(t, db)
			recorder.clock.database = recorder.clock.database.Add(wrong) // the clock of this machine

			recorder.Observe(ran("mail", "done", time.Second))
			require.NoError(t, recorder.flush(t.Context()))
			recorder.Observe(ran("mail", "done", time.Second))
			require.NoError(t, recorder.flush(t.Context()))

			require.Equal(t, 2, count(t, db, `
				SELECT sum(done) FROM job_figures WHERE step = 1 AND at BETWEEN now() - interval '2 minutes' AND now()`))
		})
	}
}

func TestRecorder_MinutesThatWaitedKeepTheirTime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	recorder := newRecorder(t, db)
	for ago := range 30 {
		run := ran("mail", "done", time.Second)
		run.Ended = run.Ended.Add(-time.Duration(30-ago) * time.Minute)
		recorder.Observe(run)
		recorder.putBack(recorder.take())
	}
	require.Len(t, recorder.pending, 30)

	require.NoError(t, recorder.flush(t.Context()))

	require.Equal(t, 30, count(t, db, `SELECT count(*) FROM job_figures WHERE step = 1 AND done = 1`))
	require.Equal(t, 30, count(t, db, `SELECT sum(done) FROM job_figures WHERE step = 10`))
}

func TestRecorder_DropsTheOldestWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	recorder := newRecorder(t, pgtest.New(t, migrations))
	for ago := range 10 {
		for kind := range mostPending / 8 {
			run := ran(fmt.Sprint(kind), "done", time.Second)
			run.Ended = run.Ended.Add(-time.Duration(10-ago) * time.Minute)
			recorder.Observe(run)
		}
	}

	away, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, recorder.flush(away))

	require.Len(t, recorder.pending, 8)
	require.EqualValues(t, 2*mostPending/8, testutil.ToFloat64(recorder.dropped))
}

func TestRecorder_BoundsTheKindsOfAMinute(t *testing.T) {
	t.Parallel()
	recorder := newRecorder(t, nil)
	at := time.Now()
	for kind := range mostKinds + 5 {
		recorder.Observe(Run{Backend: telemetry.PG, Queue: "default", Kind: fmt.Sprint(kind), Result: "done", Ended: at})
	}

	require.Len(t, recorder.current.kinds, mostKinds)
	require.EqualValues(t, 5, testutil.ToFloat64(recorder.dropped))
}

func TestRecorder_StoresAVersionOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	first, second := newRecorder(t, db), newRecorder(t, db)
	require.NoError(t, first.storeVersion(t.Context()))
	execute(t, db, `UPDATE app_versions SET first_seen_at = now() - interval '1 day'`)
	require.NoError(t, second.storeVersion(t.Context()))
	second.version, second.versionStored = "v2", false
	require.NoError(t, second.storeVersion(t.Context()))

	deploys, err := New(db).Deploys(t.Context(), time.Time{}, time.Time{})
	require.NoError(t, err)
	recent, err := New(db).Deploys(t.Context(), time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	require.NoError(t, err)

	require.Equal(t, []string{"v1", "v2"}, []string{deploys[0].Version, deploys[1].Version})
	require.Equal(t, deploys[1:], recent)
}

func TestRecorder_DeletesWhatIsTooOld(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	for _, age := range []string{"8 days", "6 days 23 hours", "74 hours", "71 hours", "1 hour"} {
		execute(t, db, `
			INSERT INTO job_figures (
				step, at, backend, queue, kind, done, failed, cancelled, expired, later, returned, run_us, wait_us, runs, waits
			)
			SELECT step, now() - $1::interval, 'pg', 'default', 'mail', 1, 0, 0, 0, 0, 0, 0, 0, 1, 0 FROM unnest(ARRAY[1, 10]) AS step`, age)
		execute(t, db, `INSERT INTO job_depths (at, backend, queue, oldest_ms) VALUES (now() - $1::interval, 'pg', 'default', 0)`, age)
	}
	execute(t, db, `
		INSERT INTO app_versions SELECT n, now() - interval '1 minute' * n FROM generate_series(1, $1::integer + 3) AS n`, mostVersions)
	recorder := newRecorder(t, db)

	require.NoError(t, recorder.prune(t.Context()))

	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM job_figures WHERE step = 1`))
	require.Equal(t, 4, count(t, db, `SELECT count(*) FROM job_figures WHERE step > 1`))
	require.Equal(t, 4, count(t, db, `SELECT count(*) FROM job_depths`))
	require.Equal(t, mostVersions, count(t, db, `SELECT count(*) FROM app_versions`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM app_versions WHERE version = '1'`))
	require.WithinDuration(t, time.Now(), recorder.prunedAt, time.Minute)
}

func BenchmarkRecorder_Observe(b *testing.B) {
	recorder := &Recorder{clock: newClock()}
	run := ran("send_confirmation", "done", 3*time.Millisecond)
	b.RunParallel(func(p *testing.PB) {
		run := run
		run.Ended = time.Now()
		for p.Next() {
			recorder.Observe(run)
		}
	})
}
