package history

import (
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTimes_PercentilesAreOffByAtMostAQuarter(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 50 {
		var of histogram
		var all []time.Duration
		var sum int64
		for range 999 {
			d := time.Duration(float64(time.Millisecond) * math.Pow(3.6e6, random.Float64())) // 1 ms to 1 h
			if round%2 == 0 {
				d = time.Duration(float64(time.Second) * math.Exp(random.NormFloat64()))
			}
			all, sum = append(all, d), sum+d.Microseconds()
			of[bucketOf(d)]++
		}
		slices.Sort(all)

		times := timesOf(of, sum)

		require.EqualValues(t, 999, times.Count)
		require.InEpsilon(t, all[499], times.P50, 0.25)
		require.InEpsilon(t, all[949], times.P95, 0.25)
		require.InEpsilon(t, float64(sum)/999, times.Mean.Microseconds(), 0.01)
	}
	require.Zero(t, timesOf(histogram{}, 0))
	require.Equal(t, 0, bucketOf(-time.Second))
	require.Equal(t, buckets-1, bucketOf(300*time.Hour))
	require.GreaterOrEqual(t, bounds[buckets-2], time.Hour)
}

func TestHistogram_IsStoredAsANumberThatCanBeAddedUp(t *testing.T) {
	t.Parallel()
	one, other := histogram{0: 7, 3: 999_999, buckets - 1: 1}, histogram{0: 1, 3: 1, 5: 12}
	a, _ := new(big.Int).SetString(one.number(), 10)
	b, _ := new(big.Int).SetString(other.number(), 10)

	sum, err := histogramOf(a.Add(a, b).String())

	require.NoError(t, err)
	require.Equal(t, histogram{0: 8, 3: 1_000_000, 5: 12, buckets - 1: 1}, sum)
	_, err = histogramOf("1.5")
	require.Error(t, err)
}
