package history

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestQuery_ChoosesStepsThatAreStored(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 34, 56, 0, time.UTC)
	for name, row := range map[string]struct {
		query  Query
		step   time.Duration
		stored int
		from   string
		points int
	}{
		"default":         {Query{}, time.Minute, 1, "2026-11-30T11:34:00Z", 61},
		"six hours":       {Query{Since: 6 * time.Hour}, 5 * time.Minute, 1, "2026-11-30T06:30:00Z", 73},
		"a day":           {Query{Since: 24 * time.Hour}, 10 * time.Minute, 10, "2026-11-29T12:30:00Z", 145},
		"three days":      {Query{Since: 72 * time.Hour}, 30 * time.Minute, 10, "2026-11-27T12:30:00Z", 145},
		"a year":          {Query{Since: 9000 * time.Hour}, time.Hour, 10, "2026-11-23T12:00:00Z", 169},
		"an odd step":     {Query{Since: time.Hour, Step: 7 * time.Minute}, 7 * time.Minute, 1, "2026-11-30T11:34:00Z", 9},
		"a tiny step":     {Query{Since: time.Hour, Step: time.Second}, time.Minute, 1, "2026-11-30T11:34:00Z", 61},
		"too many points": {Query{Since: 72 * time.Hour, Step: time.Minute}, 6 * time.Minute, 1, "2026-11-27T12:30:00Z", 721},
		"before the minutes": {
			Query{From: now.Add(-73 * time.Hour), To: now.Add(-72 * time.Hour)}, 10 * time.Minute, 10, "2026-11-27T11:30:00Z", 7,
		},
		"the future": {Query{From: now.Add(time.Hour)}, time.Minute, 1, "2026-11-30T13:34:00Z", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			s := row.query.spanAt(now)

			require.Equal(t, row.step, s.step)
			require.Equal(t, row.stored, s.stored)
			require.Equal(t, row.from, s.from.Format(time.RFC3339))
			require.Equal(t, row.points, s.points())
		})
	}
}

func TestHistory_SeriesHasNoGaps(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	recorder := newRecorder(t, db)
	for _, ago := range []time.Duration{50 * time.Minute, 20 * time.Minute, 0} {
		run := ran("mail", "done", 20*time.Millisecond)
		run.Ended = run.Ended.Add(-ago)
		recorder.Observe(run)
		run.Kind, run.Result, run.Backend = "wave", "expired", "redis"
		recorder.Observe(run)
	}
	require.NoError(t, recorder.flush(t.Context()))
	history := New(db)

	points, err := history.Series(t.Context(), Query{})
	require.NoError(t, err)
	mails, err := history.Series(t.Context(), Query{Kind: "mail", Queue: "default", Backend: "pg", Step: 5 * time.Minute})
	require.NoError(t, err)
	none, err := history.Series(t.Context(), Query{Kind: "mail", Backend: "redis"})
	require.NoError(t, err)

	require.GreaterOrEqual(t, len(points), 60)
	var withRuns int
	for i, point := range points {
		require.Equal(t, time.Minute, point.Step)
		require.Equal(t, i == len(points)-1, point.Partial)
		if i > 0 {
			require.Equal(t, time.Minute, point.At.Sub(points[i-1].At))
		}
		require.EqualValues(t, point.Done, point.Expired)
		if point.Done > 0 {
			withRuns++
			require.InEpsilon(t, 20*time.Millisecond, point.Run.P50, 0.25)
			require.Zero(t, point.Wait)
		}
	}
	require.Equal(t, 3, withRuns)
	var processed int64
	for _, point := range mails {
		processed += point.Processed()
		require.Zero(t, point.Expired)
	}
	require.EqualValues(t, 3, processed)
	require.GreaterOrEqual(t, len(mails), 12)
	for _, point := range none {
		require.Zero(t, point.Figures)
	}
}

func TestHistory_ByKindBeginsWithTheMostRunTime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	recorder := newRecorder(t, db)
	recorder.Observe(ran("quick", "done", time.Millisecond))
	recorder.Observe(ran("quick", "done", time.Millisecond))
	recorder.Observe(ran("slow", "failed", time.Second))
	require.NoError(t, recorder.flush(t.Context()))

	kinds, err := New(db).ByKind(t.Context(), Query{Since: 72 * time.Hour})

	require.NoError(t, err)
	require.Len(t, kinds, 2)
	require.Equal(t, "slow", kinds[0].Kind)
	require.EqualValues(t, 1, kinds[0].Failed)
	require.EqualValues(t, 2, kinds[1].Done)
}

func TestHistory_DepthsOfOneMinuteAreStoredOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	first, second := newRecorder(t, db), newRecorder(t, db)
	sample := func(pending int) func() []Depth {
		return func() []Depth {
			return []Depth{
				{Backend: "pg", Queue: "default", Counts: map[string]int{Pending: pending, Failed: 0}, Oldest: 90 * time.Second},
				{Backend: "redis", Queue: "low", Counts: map[string]int{Running: 1}, Oldest: -time.Second},
			}
		}
	}
	require.NoError(t, first.storeDepths(t.Context(), nil))
	require.NoError(t, first.storeDepths(t.Context(), func() []Depth { return nil }))

	require.NoError(t, first.storeDepths(t.Context(), sample(7)))
	require.NoError(t, first.storeDepths(t.Context(), func() []Depth { panic("stored in this minute") }))
	execute(t, db, `UPDATE job_depths SET at = at - interval '1 minute'`)
	require.NoError(t, second.storeDepths(t.Context(), sample(3)))

	points, err := New(db).Depths(t.Context(), Query{Since: 10 * time.Minute, Step: time.Minute})
	require.NoError(t, err)
	require.Len(t, points, 4)
	require.Equal(t, sample(7)()[0], points[0].Depth)
	require.Equal(t, Depth{Backend: "redis", Queue: "low", Counts: map[string]int{Running: 1}}, points[1].Depth)
	require.Equal(t, 3, points[2].Counts[Pending])
	of, err := New(db).Depths(t.Context(), Query{Backend: "redis", Queue: "low"})
	require.NoError(t, err)
	require.Len(t, of, 2)
}

// A busy installation: 60 kinds that run in every minute, of which one row is
// stored for each step.
func TestHistory_ReadsThreeDaysOfSixtyKinds(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	numbers := make([]string, 15)
	for i := range numbers {
		var times histogram
		for bucket := i; bucket < i+12; bucket++ {
			times[bucket] = 20
		}
		numbers[i] = times.number()
	}
	execute(t, db, `
		INSERT INTO job_figures (
			step, at, backend, queue, kind, done, failed, cancelled, expired, later, returned, run_us, wait_us, runs, waits
		)
		SELECT step, to_timestamp(floor(extract(epoch FROM now()) / 60 / step) * 60 * step) - n * step * interval '1 minute', 'pg', 'default',
		       'kind_' || k, 100, 3, 0, 0, 0, 0, 1e7, 2e4, ($1::text[]::numeric[])[1 + k % 15], ($1::text[]::numeric[])[1 + k % 5]
		FROM unnest(ARRAY[1, 10]) AS step, generate_series(0, 72 * 60 / step) AS n, generate_series(1, 60) AS k`, numbers)
	execute(t, db, `
		INSERT INTO job_depths
		SELECT date_trunc('minute', now()) - n * interval '1 minute', backend, queue, n, n, n, n, n, n, n
		FROM generate_series(0, 72 * 60) AS n, unnest(ARRAY['pg', 'redis']) AS backend, unnest(ARRAY['critical', 'default', 'low']) AS queue`)
	execute(t, db, `ANALYZE job_figures, job_depths`)
	history := New(db)

	for _, since := range []time.Duration{time.Hour, 2 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 72 * time.Hour} {
		query := Query{Since: since}
		began := time.Now()
		points, err := history.Series(t.Context(), query)
		require.NoError(t, err)
		series := time.Since(began)
		began = time.Now()
		kinds, err := history.ByKind(t.Context(), query)
		require.NoError(t, err)
		byKind := time.Since(began)
		began = time.Now()
		depths, err := history.Depths(t.Context(), query)
		require.NoError(t, err)
		t.Logf("%v: series %v, by kind %v, depths %v", since, series, byKind, time.Since(began))
		require.Len(t, kinds, 60)
		require.LessOrEqual(t, len(points), 200)
		require.GreaterOrEqual(t, len(points), 60)
		require.LessOrEqual(t, len(depths), 6*200)
		stored := query.spanAt(time.Now()).stored
		require.EqualValues(t, 60*100*int(points[0].Step/time.Minute)/stored, points[1].Done)
	}
	var size string
	require.NoError(t, db.QueryRow(t.Context(), `SELECT pg_size_pretty(pg_total_relation_size('job_figures'))`).Scan(&size))
	t.Logf("three days of 60 kinds take %s", size)
}
