package cache

import "errors"

// result is how a request of the cache was answered.
type result string

const (
	local  result = "local"  // from this process
	hit    result = "hit"    // from Redis
	missed result = "miss"   // made anew
	shared result = "shared" // made or found for another request at the same time
	absent result = "absent" // there is no such value
	failed result = "error"
)

// resultOf is how, unless there was an error.
func resultOf(how result, err, none error) result {
	switch {
	case err == nil:
		return how
	case none != nil && errors.Is(err, none):
		return absent
	default:
		return failed
	}
}

func (c *Cache) count(kind string, how result) {
	c.requests.WithLabelValues(kind, string(how)).Inc()
}
