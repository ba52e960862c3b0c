package recurring

import "time"

// Private

const (
	// longestDelay is how late a run may be to be enqueued at all.
	longestDelay = 7 * 24 * time.Hour
	// onTime is how late a run may be to be enqueued with CatchUpNone.
	onTime = time.Minute
	// punctual is how late the first due run may be when no check for due runs was left
	// out. Then all due runs are enqueued, so that "every second" runs every second.
	punctual = 5 * time.Second
	// mostAtOnce bounds the runs of one entry that one check enqueues.
	mostAtOnce = 1000
)

// due returns the runs after last and up to now that are to be enqueued. Handled
// is the time of the newest run that was considered.
func (e Entry) due(last, now time.Time) (due []time.Time, handled time.Time) {
	handled = last
	first := e.Schedule.Next(later(last, now.Add(-longestDelay)))
	missed := now.Sub(first) > punctual
	for at := first; !at.IsZero() && !at.After(now) && len(due) < mostAtOnce; at = e.Schedule.Next(at) {
		handled = at
		if missed && e.CatchUp != CatchUpAll {
			due = due[:0] // the newest run replaces those that were missed
		}
		due = append(due, at)
	}
	if e.CatchUp == CatchUpNone && now.Sub(handled) > onTime {
		return nil, handled
	}
	return due, handled
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
