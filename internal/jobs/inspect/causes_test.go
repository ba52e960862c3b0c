package inspect

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
)

func TestErrorPattern_LeavesOutWhatDiffersBetweenEqualFailures(t *testing.T) {
	t.Parallel()
	s := setup(t)

	for text, want := range map[string]string{
		"order 17 not found": "order … not found",
		"dial tcp 10.0.0.5:5432: connect: connection refused": "dial tcp …: connect: connection refused",
		`open "a b" for ann@example.com`:                      "open … for …", "job 0191f0d2-abcd-7000-8000-deadbeefcafe failed": "job … failed",
		"charge cus_9sXK: status 402 at 2026-11-30T10:00:00.123Z": "charge …: status … at …", "ids 1, 2, 3 are gone": "ids … are gone",
		"ids 1, 2 are gone": "ids … are gone", "get https://x.y/z?a=1 now": "get … now",
		"read 0xc0001f2a": "read …", "sum deadbeef is bad": "sum … is bad",
		"can't pay 'mug' now": "can't pay … now", "out of paper": "out of paper", "": "", `say "a\"b" twice`: "say … twice",
		strings.Repeat("z", 5000): strings.Repeat("z", 4096),
	} {
		var pattern string
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT error_pattern($1)`, text).Scan(&pattern))
		require.Equal(t, want, pattern, text)
	}
}

func TestCauses_GroupsFailedWorkOfBothBackends(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, attempted_at, queue, errors)
		SELECT 'mail', '{"note": "hunter3"}', (CASE WHEN n % 10 = 0 THEN 'retryable' ELSE 'discarded' END)::river_job_state, 25, 1,
		       CASE WHEN n % 10 > 0 THEN now() - n * interval '1 minute' END, now() - n * interval '1 minute', 'critical',
		       ARRAY[jsonb_build_object('error', 'earlier'),
		             jsonb_build_object('error', CASE WHEN n % 2 = 0 THEN 'no printer ' || n ELSE 'note hunter3 of order ' || n END)]
		FROM generate_series(1, 100) AS n`)
	s.execute(t, `INSERT INTO failed_tasks (id, kind, queue, args, error, attempts, failed_at, cancelled)
		SELECT 'a' || n, 'wave', 'low', '{}', 'no printer ' || n, 1, now() - n * interval '1 second', n > 30 FROM generate_series(1, 40) AS n`)

	causes, err := s.inspector.Causes(t.Context(), Filter{})

	require.NoError(t, err)
	require.Len(t, causes, 3)
	require.Equal(t, []string{"wave: no printer … 30 redis", "mail: note *** of order … 50 pg", "mail: no printer … 40 pg"}, describe(causes))
	require.Equal(t, "redis:low:a1", causes[0].Example.String())
	require.Equal(t, "pg:1", causes[1].Example.String())
	require.InDelta(t, 98*time.Minute, causes[1].LastSeen.Sub(causes[1].FirstSeen), float64(time.Second))
	for _, row := range []struct {
		filter Filter
		want   []string
	}{
		{Filter{State: Retrying}, []string{"mail: no printer … 10 pg"}},
		{Filter{Kind: "wave"}, []string{"wave: no printer … 30 redis"}},
		{Filter{Backend: jobs.PG, Since: Moment{Ago: 20*time.Minute + time.Second}},
			[]string{"mail: note *** of order … 10 pg", "mail: no printer … 8 pg"}},
		{Filter{Queue: "default"}, nil}, {Filter{State: Done}, nil},
		{Filter{Cause: causes[0].Fingerprint}, []string{"wave: no printer … 30 redis"}},
	} {
		found, err := s.inspector.Causes(t.Context(), row.filter)
		require.NoError(t, err)
		require.Equal(t, row.want, describe(found), row.filter.String())
	}
	for n, want := range []int{30, 50, 50} {
		require.Len(t, s.all(t, Filter{Cause: causes[n].Fingerprint, Limit: 7}), want)
	}
	require.Len(t, s.all(t, Filter{Cause: causes[2].Fingerprint, State: Retrying}), 10)
	require.Len(t, s.all(t, Filter{Cause: causes[2].Fingerprint, Queue: "critical", State: Failed}), 40)
	require.Empty(t, s.all(t, Filter{Cause: causes[2].Fingerprint, Queue: "low"}))
}

func TestCauses_CountsUpToABound(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.execute(t, `
		INSERT INTO river_job (kind, args, state, max_attempts, attempt, finalized_at, errors)
		SELECT 'mail', '{}', 'discarded', 25, 1, now() - n * interval '1 minute', ARRAY[jsonb_build_object('error', 'no order ' || n)]
		FROM generate_series(1, 10001) AS n`)

	causes, err := s.inspector.Causes(t.Context(), Filter{})

	require.NoError(t, err)
	require.Equal(t, []string{"mail: no order … 10000 pg"}, describe(causes))
	require.True(t, causes[0].More)
	require.InDelta(t, 10000*time.Minute, causes[0].LastSeen.Sub(causes[0].FirstSeen), float64(time.Second))
}

func TestCauses_GroupsTasksThatRetry(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.handlers[1].Attempts = 5
	s.handlers[1].Backoff = func(int) time.Duration { return time.Hour }
	s.work(t)
	s.fail.Store(true)
	for n := range 5 {
		require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: fmt.Sprint(n)}))
	}
	stacktest.Eventually(t, func() bool { return len(s.all(t, Filter{State: Retrying})) == 5 })

	causes, err := s.inspector.Causes(t.Context(), Filter{State: Retrying})

	require.NoError(t, err)
	require.Equal(t, []string{"wave: out of paper 5 redis"}, describe(causes))
	require.Len(t, s.all(t, Filter{Cause: causes[0].Fingerprint}), 5)
	require.Len(t, s.all(t, Filter{Cause: causes[0].Fingerprint, Limit: 2}), 5)
}

// Private

func describe(causes []Cause) (all []string) {
	for _, c := range causes {
		all = append(all, fmt.Sprintf("%s: %s %d %s", c.Kind, c.Error, c.Count, c.Backends[0]))
	}
	return all
}
