package recurring

import "time"

// Private

const (
	// longestDelay is how late a run may be to be enqueued at all.
	longestDelay = 7 * 24 * time.Hour
	// onTime is how late a run may be without counting as missed.
	onTime = time.Minute
	// mostAtOnce bounds the runs of one entry that one check enqueues.
	mostAtOnce = 1000
)

// due returns the runs after last and up to now that are to be enqueued. Handled
// is the time of the newest run that was considered.
func (e Entry) due(last, now time.Time) (due []time.Time, handled time.Time) {
	handled = last
	missed := func(run time.Time) bool { return now.Sub(run) > onTime }
	for at := e.Schedule.Next(later(last, now.Add(-longestDelay))); !at.IsZero() && !at.After(now); at = e.Schedule.Next(at) {
		handled = at
		switch {
		case e.CatchUp == CatchUpNone && missed(at):
		case e.CatchUp == CatchUpLast && len(due) > 0 && missed(due[len(due)-1]):
			due[len(due)-1] = at // the newest run replaces the missed one
		default:
			due = append(due, at)
		}
		if len(due) == mostAtOnce {
			break // the next check continues here
		}
	}
	return due, handled
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
