package throttle

import (
	"math"
	"time"
)

// Private

// windowOf is the number of the window that now falls into. Windows are counted
// from the epoch, so that all processes agree.
func windowOf(period time.Duration, now time.Time) int64 {
	return now.UnixMilli() / period.Milliseconds()
}

// estimate is the number of requests in the last period.
func (l *Limiter) estimate(count, previous int64, period time.Duration, now time.Time) int64 {
	return count + int64(math.Floor(float64(previous)*l.weight(period, now)))
}

// weight is the share of the previous window that lies in the last period.
func (l *Limiter) weight(period time.Duration, now time.Time) float64 {
	if !l.sliding {
		return 0
	}
	return 1 - float64(now.UnixMilli()%period.Milliseconds())/float64(period.Milliseconds())
}

// reset is the time until one more request may pass, if none is made meanwhile.
// It is computed from the number of the window: the expiry of a key would give
// a slightly different time on each request.
func (l *Limiter) reset(step countStep, count, previous int64, now time.Time) time.Duration {
	period := step.id.period
	toEnd := time.UnixMilli((windowOf(period, now) + 1) * period.Milliseconds()).Sub(now)
	if !l.sliding || l.estimate(count, previous, period, now) < step.limit {
		return toEnd
	}
	if count < step.limit && previous > 0 {
		// Within this window, once enough of the previous one has slid out.
		weight := float64(step.limit-count) / float64(previous)
		return max(0, toEnd-time.Duration(weight*float64(period)))
	}
	return toEnd + time.Duration((1-float64(step.limit)/float64(count))*float64(period))
}
