package history

import "time"

// Query selects figures. Empty filters select everything.
type Query struct {
	From, To time.Time     // To zero: now; From zero: Since before To
	Since    time.Duration // default: an hour
	Step     time.Duration // of a point; default: so that there are 60 to 200 points
	Backend  string        // pg or redis
	Queue    string
	Kind     string // not of depths, which know no kinds
}

// Private

// mostPoints bounds the points of one series.
const mostPoints = 750

// storedSteps are the minutes that one row of job_figures covers. Each of them is a
// multiple of the one before.
var storedSteps = []int{1, 10}

// span is a query whose time is in whole steps.
type span struct {
	now, from, to time.Time // from is the start of a step
	step          time.Duration
	stored        int // the largest of storedSteps that divides step
}

// spanAt returns what the query means at a time.
func (q Query) spanAt(now time.Time) span {
	s := span{now: now, from: q.From, to: q.To, step: q.Step}
	if s.to.IsZero() || s.to.After(now) {
		s.to = now
	}
	if s.from.IsZero() {
		since := q.Since
		if since <= 0 {
			since = time.Hour
		}
		s.from = s.to.Add(-since)
	}
	if oldest := now.Add(-Kept); s.from.Before(oldest) {
		s.from = oldest
	}
	if s.step <= 0 {
		s.step = stepFor(s.to.Sub(s.from))
	}
	s.step = max(s.step, s.to.Sub(s.from)/mostPoints)
	if s.from.Before(now.Add(-FineFor)) {
		s.step = max(s.step, time.Duration(storedSteps[1])*time.Minute)
	}
	for _, minutes := range storedSteps {
		if stored := time.Duration(minutes) * time.Minute; s.step >= stored || minutes == 1 {
			s.stored = minutes
		}
	}
	stored := time.Duration(s.stored) * time.Minute
	s.step = (s.step + stored - 1).Truncate(stored)
	s.from = time.Unix(s.from.Unix()-s.from.Unix()%s.seconds(), 0).UTC()
	return s
}

func (s span) seconds() int64 { return int64(s.step / time.Second) }

// points is the number of steps, the last of which may be unfinished.
func (s span) points() int {
	if !s.to.After(s.from) {
		return 0
	}
	return int((s.to.Sub(s.from) + s.step - 1) / s.step)
}

// stepFor returns the step that suits a chart of a length.
func stepFor(length time.Duration) time.Duration {
	for _, choice := range []struct{ upTo, step time.Duration }{
		{2 * time.Hour, time.Minute}, {12 * time.Hour, 5 * time.Minute}, {30 * time.Hour, 10 * time.Minute},
		{96 * time.Hour, 30 * time.Minute},
	} {
		if length <= choice.upTo {
			return choice.step
		}
	}
	return time.Hour
}
