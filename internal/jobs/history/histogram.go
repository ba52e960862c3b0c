package history

import (
	"fmt"
	"math"
	"math/big"
	"sort"
	"strings"
	"time"
)

// Times describes the durations of many runs. Without any, it is zero.
type Times struct {
	Count int64         `json:"count"`
	Mean  time.Duration `json:"mean"`
	P50   time.Duration `json:"p50"` // percentiles are off by at most a quarter, between 1 ms and an hour
	P95   time.Duration `json:"p95"`
}

// Private

// total is all durations together.
func (t Times) total() time.Duration { return time.Duration(t.Count) * t.Mean }

const (
	// growth is the ratio of the bounds of a bucket. A percentile is the geometric
	// middle of its bucket, so it is off by at most the root of the ratio.
	growth = 1.5
	// buckets are the ones from 1 ms to above an hour, one for less and one for more.
	// What is stored depends on growth and buckets: never change them.
	buckets = 40
	// digits are the decimal digits of a bucket in a stored histogram.
	digits = 12
)

// histogram counts durations by bucket. The database stores one as one whole number,
// with the count of each bucket in digits of its own, so that sum() and + add up
// histograms.
type histogram [buckets]int64

// bounds are the lower bounds of the buckets but the first.
var bounds = func() (bounds [buckets - 1]time.Duration) {
	for i := range bounds {
		bounds[i] = time.Duration(float64(time.Millisecond) * math.Pow(growth, float64(i)))
	}
	return bounds
}()

// bucketOf returns the bucket of a duration.
func bucketOf(d time.Duration) int {
	return sort.Search(len(bounds), func(i int) bool { return d < bounds[i] })
}

// middle returns the duration that stands for those of a bucket.
func middle(bucket int) time.Duration {
	if bucket == 0 {
		return time.Millisecond / 2
	}
	return time.Duration(float64(bounds[bucket-1]) * math.Sqrt(growth))
}

// timesOf describes durations by their histogram and their sum.
func timesOf(of histogram, microseconds int64) Times {
	var times Times
	for _, count := range of {
		times.Count += count
	}
	if times.Count == 0 {
		return times
	}
	times.Mean = time.Duration(microseconds/times.Count) * time.Microsecond
	times.P50, times.P95 = of.percentile(times.Count, 0.50), of.percentile(times.Count, 0.95)
	return times
}

func (h histogram) percentile(total int64, share float64) time.Duration {
	rank := int64(math.Ceil(share * float64(total)))
	var seen int64
	for bucket, count := range h {
		if seen += count; seen >= rank {
			return middle(bucket)
		}
	}
	return middle(buckets - 1)
}

// number writes a histogram as it is stored. The first bucket has the last digits.
func (h histogram) number() string {
	var text strings.Builder
	for bucket := buckets - 1; bucket >= 0; bucket-- {
		fmt.Fprintf(&text, "%0*d", digits, h[bucket])
	}
	return text.String()
}

// histogramOf reads a stored histogram.
func histogramOf(number string) (h histogram, err error) {
	rest, ok := new(big.Int).SetString(number, 10)
	if !ok {
		return h, fmt.Errorf("%q is no histogram", number)
	}
	base, count := new(big.Int).Exp(big.NewInt(10), big.NewInt(digits), nil), new(big.Int)
	for bucket := range h {
		rest.DivMod(rest, base, count)
		h[bucket] = count.Int64()
	}
	return h, nil
}
