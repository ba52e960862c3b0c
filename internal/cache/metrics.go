package cache

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// result is how Fetch got a value.
type result string

const (
	local  result = "local"  // from this process
	hit    result = "hit"    // from Redis
	missed result = "miss"   // loaded
	shared result = "shared" // loaded or found by another request at the same time
	absent result = "absent" // the value does not exist
	failed result = "error"
)

// resultOf returns how when err is nil, else absent for the absentError of a Kind,
// else failed.
func resultOf(how result, err, absentError error) result {
	switch {
	case err == nil:
		return how
	case absentError != nil && errors.Is(err, absentError):
		return absent
	default:
		return failed
	}
}

func newRequests() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_cache_requests_total",
		Help: "Values fetched through the cache: local and hit were found, in the process or in Redis; miss was loaded; " +
			"shared waited for another request's load; absent is known not to exist; error could not be loaded.",
	}, []string{"cache", "result"})
}

func (c *Cache) size() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "app_cache_bytes",
		Help: "Size of the values that this process has cached, in bytes.",
	}, func() float64 { return float64(c.local.WeightedSize()) })
}

func (c *Cache) values() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "app_cache_values",
		Help: "Values that this process has cached.",
	}, func() float64 { return float64(c.local.EstimatedSize()) })
}

func (c *Cache) count(kind string, how result) {
	c.requests.WithLabelValues(kind, string(how)).Inc()
}
