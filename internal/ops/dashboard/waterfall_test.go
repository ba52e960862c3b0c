package dashboard

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/ops"
)

func TestWaterfall_DrawsWhatOverlapsToScale(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	outer, inner := stored(begin, 100*time.Millisecond), stored(begin.Add(50*time.Millisecond), 25*time.Millisecond)

	w := newWaterfall([]ops.StoredTrace{outer, inner})

	require.Equal(t, bar{"0.0", "1000.0"}, w.ofTrace(outer))
	require.Equal(t, bar{"500.0", "250.0"}, w.ofTrace(inner))
	require.Empty(t, w.cuts())
}

func TestWaterfall_CutsALongTimeInWhichNothingHappened(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	request, job := stored(begin, 10*time.Millisecond), stored(begin.Add(time.Hour), 10*time.Millisecond)

	w := newWaterfall([]ops.StoredTrace{job, request}) // in any order

	require.Equal(t, bar{"0.0", "454.5"}, w.ofTrace(request), "10 of 10, 2 and 10 ms")
	require.Equal(t, bar{"545.5", "454.5"}, w.ofTrace(job))
	require.Equal(t, []string{"500.0"}, w.cuts())
	require.InDelta(t, time.Hour, w.longestCut(), float64(20*time.Millisecond))
}

func TestWaterfall_ShowsWhatTookNoTimeAndWhatBeganTooEarly(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	one := stored(begin, 0)
	early := ops.Span{After: -5_000_000, Took: 10}

	w := newWaterfall([]ops.StoredTrace{one})

	require.Equal(t, bar{"0.0", "3.0"}, w.ofTrace(one))
	require.Equal(t, bar{"0.0", "3.0"}, w.ofSpan(one, early))
}

func stored(started time.Time, took time.Duration) ops.StoredTrace {
	return ops.StoredTrace{Started: started, Took: took.Microseconds()}
}
