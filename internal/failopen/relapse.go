package failopen

import (
	"math/rand/v2"
	"time"
)

// relapse is a series of outages, each of which began soon after the last one had
// ended and before calls mostly succeeded: probes succeed, and calls do not. A
// Redis that is restarted again and again does not relapse.
type relapse struct {
	openings int       // of the breaker in this series
	since    time.Time // of the first
}

func (r relapse) next() relapse {
	r.openings++
	return r
}

// flaps reports whether the series is long enough to be called flapping.
func (r relapse) flaps() bool { return r.openings >= 5 }

// steady is how long all probes must succeed before the breaker closes. Two
// outages in a row, as of a Redis that is restarted twice, are no reason to wait;
// every further one doubles the time. It has jitter, so that the processes of an
// application do not return at the same moment.
func (r relapse) steady() time.Duration {
	if r.openings < 3 {
		return 0
	}
	doubled := longestSteady
	if doublings := r.openings - 3; doublings < 5 {
		doubled = min(time.Second<<doublings, longestSteady)
	}
	return doubled + rand.N(doubled/4)
}

// Private

const longestSteady = 30 * time.Second
