package ops

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestPulse_AddsUpWhatAllProcessesDid(t *testing.T) {
	t.Parallel()

	db := pgtest.New(t, migrations)
	one, two := newRecorder(t, "web"), newRecorder(t, "web")
	one.serve(3, "/items/:id", "2xx", 50*time.Millisecond)
	one.flush(t, db)
	one.serve(1, "/items/:id", "5xx", 500*time.Millisecond)
	one.flush(t, db)
	two.serve(2, "/", "2xx", time.Millisecond)
	two.flush(t, db)

	for _, of := range Ranges {
		pulse, err := NewReader(db).Pulse(t.Context(), of)
		require.NoError(t, err)
		require.Equal(t, 6, pulse.Requests.Count, of)
		require.Equal(t, 1, pulse.Requests.Failed, of)
		require.Equal(t, "GET /items/:id", pulse.Routes[0].Name)
		require.Equal(t, 4, pulse.Routes[0].Count)
		require.InDelta(t, .65, pulse.Routes[0].Seconds, .001)
		require.InDelta(t, .07, pulse.Routes[0].P50, .04)
		total := 0
		for _, point := range pulse.Points {
			total += point.Count
		}
		require.Equal(t, 6, total, of)
		require.Len(t, pulse.Processes, 2)
		require.True(t, pulse.Processes[0].Running)
	}
}

func TestPulse_LosesNothingOverStepsThatEnd(t *testing.T) {
	t.Parallel()

	p := newPulse()
	grown := func(n float64) sample {
		s := newSample()
		s.Figures[nameOf(edgeCard, "hit")] = figure{Count: n}
		return s
	}
	at := time.Date(2026, 11, 30, 9, 58, 0, 0, time.UTC)
	require.Empty(t, p.add(at, grown(1)))
	require.Empty(t, p.add(at.Add(30*time.Second), grown(2)))
	require.Len(t, p.due(at), len(stepMinutes))
	require.Len(t, p.due(at.Add(30*time.Second)), 1, "longer steps are written once a minute")

	ended := p.add(at.Add(2*time.Minute), grown(4))
	require.Len(t, ended, 3, "a minute, ten minutes and an hour have ended")
	for _, one := range ended {
		require.InDelta(t, 3, one.sample.Figures[nameOf(edgeCard, "hit")].Count, 0)
	}
	for _, one := range p.due(at.Add(2 * time.Minute)) {
		require.InDelta(t, 4, one.sample.Figures[nameOf(edgeCard, "hit")].Count, 0)
	}
}

func TestPulse_ShowsTheMostCostlyStatementsOnOneLine(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	r.Statement("SELECT *\n\tFROM cheap", time.Millisecond, nil)
	r.Statement("SELECT *\n\tFROM costly", 3*time.Second, nil)
	r.Statement("SELECT *\n\tFROM costly", time.Second, errors.New("no"))
	r.Statement("SELECT "+strings.Repeat("'ä', ", 1000), time.Millisecond, nil)
	r.flush(t, db)

	pulse, err := NewReader(db).Pulse(t.Context(), LastHour)
	require.NoError(t, err)
	first := pulse.Statements[0]
	require.Equal(t, "SELECT * FROM costly", first.Name)
	require.Equal(t, 2, first.Count)
	require.Equal(t, 1, first.Failed)
	require.InDelta(t, 4, first.Seconds, .001)
	require.InDelta(t, 3, first.Most, .001)
	require.Len(t, pulse.Statements, 3)
}

func TestPulse_StaysSmallInAFloodOfNames(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	for i := range 3 * mostClients {
		r.Client(fmt.Sprintf("2001:db8::%x", i))
	}
	for range 50 {
		r.Client("192.0.2.7")
	}
	for i := range 3 * mostStatements {
		r.Statement(fmt.Sprintf("SELECT %d", i), time.Millisecond, nil)
	}
	r.flush(t, db)

	require.Less(t, count(t, db, `SELECT max(pg_column_size(figures)) FROM ops_figures`), 32<<10)
	require.Zero(t, count(t, db, `SELECT count(*) FROM ops_figures WHERE figures::text LIKE '%2001:db8%' OR figures::text LIKE '%192.0.2%'`),
		"addresses are stored as hashes only")
	pulse, err := NewReader(db).Pulse(t.Context(), LastHour)
	require.NoError(t, err)
	total := 0
	for _, client := range pulse.Clients {
		total += client.Count
	}
	require.LessOrEqual(t, total, 3*mostClients+50)
	require.Equal(t, others, pulse.Clients[0].Name)
}

func TestPulse_ShowsChecksAndBreakersByTheirGauges(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_backend_up", Help: "Checks."}, []string{"check"})
	open := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "app_redis_breaker_state", Help: "Breakers."}, []string{"redis"})
	r.registry.MustRegister(up, open)
	up.WithLabelValues("database").Set(1)
	up.WithLabelValues("redis").Set(1)
	r.flush(t, db)
	up.WithLabelValues("redis").Set(0)
	open.WithLabelValues("shared").Set(1)
	r.flush(t, db)

	pulse, err := NewReader(db).Pulse(t.Context(), LastHour)
	require.NoError(t, err)
	require.Equal(t, "database", pulse.Checks[0].Name)
	require.Equal(t, []int{2, 0}, []int{pulse.Checks[0].Samples, pulse.Checks[0].Bad})
	require.Equal(t, []int{2, 1}, []int{pulse.Checks[1].Samples, pulse.Checks[1].Bad})
	require.Equal(t, []int{1, 1}, []int{pulse.Breakers[0].Samples, pulse.Breakers[0].Bad})
	require.Len(t, pulse.Checks[1].Points, len(pulse.Points))
}

func TestRecorder_GoesOnWithoutItsTables(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	r.serve(5, "/", "2xx", time.Millisecond)
	r.flush(t, db)
	execute(t, db, `ALTER TABLE ops_figures RENAME TO gone`)
	r.serve(5, "/", "2xx", time.Millisecond)
	require.Error(t, r.Flush(t.Context(), db))
	execute(t, db, `ALTER TABLE gone RENAME TO ops_figures`)
	r.flush(t, db)

	pulse, err := NewReader(db).Pulse(t.Context(), LastWeek)
	require.NoError(t, err)
	require.Equal(t, 10, pulse.Requests.Count, "steps that have not ended are written later")
}

func TestRecorder_NeverWaitsForADatabaseThatHangs(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), `LOCK TABLE ops_figures, ops_errors, ops_traces`)
	require.NoError(t, err)
	running, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(running, db) }()
	for i := range 10_000 {
		r.Statement("SELECT 1", time.Millisecond, nil)
		r.Client(fmt.Sprint(i))
		r.reporter.Unexpected(fmt.Sprint("source ", i), "", errors.New("no"))
	}
	require.Positive(t, testutil.ToFloat64(r.dropped.WithLabelValues(droppedErrors)), "memory is bounded")
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, tx.Rollback(t.Context()))
}

func TestRecorder_DeletesWhatIsOldOrTooMuch(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	execute(t, db, `INSERT INTO ops_figures SELECT 'p', 1, now() - n * interval '1 minute', '{}' FROM generate_series(1, 500) AS n`)
	execute(t, db, `INSERT INTO ops_traces (
			trace, kind, name, work, parent, attempt, role, version, outcome, failed, started_at, took_us, spans, dropped
		)
		SELECT 'id', 'request', 'GET /' || n % 2, '', '', 0, 'web', 'v1', '200', false, now(), 1, '[]', 0
		FROM generate_series(1, 1400) AS n`)
	execute(t, db, `INSERT INTO ops_errors (id, title, source, class, backend, role, version, message, stack, trace, count, first_at, last_at)
		SELECT n::text, '', '', '', '', '', '', '', '', '', 1, now(), now() - n * interval '1 minute' FROM generate_series(1, 1100) AS n`)
	r.flush(t, db)
	require.InDelta(t, 120, count(t, db, `SELECT count(*) FROM ops_figures WHERE process = 'p' AND step = 1`), 1)
	require.Equal(t, 2*MostTracesOfName, count(t, db, `SELECT count(*) FROM ops_traces`))
	require.Equal(t, MostErrors, count(t, db, `SELECT count(*) FROM ops_errors`))
	require.Equal(t, 1, count(t, db, `SELECT min(id::integer) FROM ops_errors`), "those seen last are kept")
}

func TestQuantile_IsWithinItsBucket(t *testing.T) {
	t.Parallel()

	bounds := []float64{.1, 1, 10}
	for _, one := range []struct {
		buckets        []float64
		q, least, most float64
	}{
		{[]float64{10, 0, 0, 0}, .5, .04, .06},
		{[]float64{5, 5, 0, 0}, .95, .8, 1},
		{[]float64{0, 0, 0, 3}, .5, 10, 10},
		{[]float64{0, 0, 0, 0}, .5, 0, 0},
		{[]float64{1, 2}, .5, 0, 0}, // of another build, with other bounds
	} {
		got := figure{Buckets: one.buckets}.quantile(one.q, bounds)
		require.GreaterOrEqual(t, got, one.least)
		require.LessOrEqual(t, got, one.most)
	}
}

func TestPulse_NeverBeginsAStepAgainWhenTheClockIsSetBack(t *testing.T) {
	t.Parallel()

	p, hit := newPulse(), nameOf(edgeCard, "hit")
	one := func() sample {
		s := newSample()
		s.Figures[hit] = figure{Count: 1}
		return s
	}
	at := time.Date(2026, 11, 30, 12, 0, 30, 0, time.UTC)
	p.add(at, one())
	require.Empty(t, p.add(at.Add(-50*time.Second), one()), "a step before noon has ended already")
	require.Empty(t, p.add(at.Add(20*time.Second), one()))
	for _, step := range p.due(at) {
		require.True(t, step.at.Equal(at.Truncate(time.Hour)))
		require.InDelta(t, 3, step.sample.Figures[hit].Count, 0)
	}
	require.Len(t, p.add(at.Add(-24*time.Hour), one()), 3, "a day is no correction of a clock")
}

func TestPulse_KeepsItsMemoryInAFloodThatGoesOn(t *testing.T) {
	t.Parallel()

	p := newPulse()
	at, total := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC), 0.0
	for flood := range 10 {
		s := newSample()
		for i := range liveMost {
			s.Figures[nameOf(clientCard, fmt.Sprint(flood, "/", i))] = figure{Count: 1}
			total++
		}
		p.add(at.Add(time.Duration(flood)*time.Second), s)
	}
	for _, step := range p.steps {
		require.LessOrEqual(t, len(step.sample.Figures), liveMost+1)
		counted := 0.0
		for _, one := range step.sample.Figures {
			counted += one.Count
		}
		require.InDelta(t, total, counted, 0, "those beyond are counted together")
	}
}

func TestPulse_DoesNotMixHistogramsOfTwoBuilds(t *testing.T) {
	t.Parallel()

	of := nameOf(requestCard, "GET", "/", "2xx")
	all, other := newSample(), newSample()
	all.Bounds[requestCard], all.Figures[of] = []float64{.1, 1}, figure{Count: 2, Sum: 1, Buckets: []float64{1, 1, 0}}
	other.Bounds[requestCard] = []float64{10, 100}
	other.Figures[of] = figure{Count: 4, Sum: 200, Buckets: []float64{0, 4, 0}}
	all.add(other)
	require.InDelta(t, 6, all.Figures[of].Count, 0)
	require.Equal(t, []float64{1, 1, 0}, all.Figures[of].Buckets)
	require.Equal(t, []float64{.1, 1}, all.Bounds[requestCard])
}

func TestRecorder_CountsEachMinuteOfAnOutageInItsOwn(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	r.serve(1, "/", "2xx", time.Millisecond)
	r.flush(t, db)
	away, cancel := context.WithCancel(t.Context())
	cancel()
	r.serve(2, "/", "2xx", time.Millisecond)
	r.databaseTime = r.databaseTime.Add(2 * time.Minute) // as if the outage were two minutes old
	require.Error(t, r.Flush(away, db))
	require.Empty(t, r.pulse.grown(gather(r.registry)).Figures, "it was counted during the outage")
	r.serve(4, "/", "2xx", time.Millisecond)
	r.flush(t, db)

	const requests = `SELECT (figures->'figures'->(E'request\tGET\t/\t2xx')->>'c')::integer FROM ops_figures WHERE step = 1 `
	require.Equal(t, 1, count(t, db, requests+`ORDER BY at LIMIT 1`))
	require.Equal(t, 6, count(t, db, requests+`ORDER BY at DESC LIMIT 1`))
}
