package telemetry

import "time"

// alertLimits bounds how often one process sends alerts: each fingerprint once
// in sentryEvery, and all together by a token bucket of sentryBurst a minute.
type alertLimits struct {
	sentAt   map[string]time.Time // by fingerprint
	burst    float64              // capacity, and refill a minute, in alerts
	tokens   float64
	refilled time.Time
}

func newAlertLimits() alertLimits {
	return alertLimits{sentAt: map[string]time.Time{}, burst: sentryBurst, tokens: sentryBurst, refilled: time.Now()}
}

// wasSent reports whether this fingerprint was sent within sentryEvery.
func (l *alertLimits) wasSent(fingerprint string, now time.Time) bool {
	last, known := l.sentAt[fingerprint]
	return known && now.Sub(last) < sentryEvery
}

func (l *alertLimits) recordSent(fingerprint string, now time.Time) {
	for other, last := range l.sentAt {
		if now.Sub(last) >= sentryEvery {
			delete(l.sentAt, other) // the token bucket bounds the map to about fifty entries
		}
	}
	l.sentAt[fingerprint] = now
}

// takeToken takes one token and reports whether there was one.
func (l *alertLimits) takeToken(now time.Time) bool {
	l.tokens = min(l.burst, l.tokens+now.Sub(l.refilled).Minutes()*l.burst)
	l.refilled = now
	if l.tokens < 1 {
		return false
	}
	l.tokens--
	return true
}
