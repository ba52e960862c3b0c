package cache

import "errors"

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

func (c *Cache) count(kind string, how result) {
	c.requests.WithLabelValues(kind, string(how)).Inc()
}
