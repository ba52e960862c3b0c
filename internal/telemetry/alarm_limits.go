package telemetry

import "time"

// alarmLimits bound how often people are told, whatever happens.
type alarmLimits struct {
	last   map[string]time.Time // by fingerprint
	burst  float64              // tokens that a minute brings, and the most there are
	tokens float64
	filled time.Time
}

func newAlarmLimits() alarmLimits {
	return alarmLimits{last: map[string]time.Time{}, burst: sentryBurst, tokens: sentryBurst, filled: time.Now()}
}

func (l *alarmLimits) toldOfLate(fingerprint string, now time.Time) bool {
	last, known := l.last[fingerprint]
	return known && now.Sub(last) < sentryEvery
}

func (l *alarmLimits) told(fingerprint string, now time.Time) {
	for other, last := range l.last {
		if now.Sub(last) >= sentryEvery {
			delete(l.last, other) // few: not more than fifty are told in five minutes
		}
	}
	l.last[fingerprint] = now
}

// take takes one of the tokens, if there is one.
func (l *alarmLimits) take(now time.Time) bool {
	l.tokens = min(l.burst, l.tokens+now.Sub(l.filled).Minutes()*l.burst)
	l.filled = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
