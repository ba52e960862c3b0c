package history

import (
	"slices"
	"time"
)

// Private

// clock estimates the time of the database from the monotonic clock of this machine.
// Before the first reply of the database, it is the clock of this machine.
type clock struct {
	local    time.Time // a moment by the monotonic clock
	database time.Time // the same moment by the clock of the database
}

func newClock() clock {
	now := time.Now()
	return clock{local: now, database: now.Round(0)}
}

// at is the time of the database at a local moment.
func (c clock) at(local time.Time) time.Time { return c.database.Add(local.Sub(c.local)) }

// minute numbers the minutes of the database.
func (c clock) minute(local time.Time) int64 { return c.at(local).Unix() / 60 }

// middle is the local moment of the middle of the minute around another one.
func (c clock) middle(local time.Time) time.Time {
	at := c.at(local)
	return local.Add(time.Unix(c.minute(local)*60+30, 0).Sub(at))
}

// kind is what figures are added up by.
type kind struct{ backend, queue, kind string }

// minute is the runs of one minute.
type minute struct {
	number int64     // by the clock, to tell it from the next
	middle time.Time // by the monotonic clock: the database says which minute that is
	kinds  map[kind]*tally
}

// startBy returns the start of the minute by a clock, never after the present minute.
func (m minute) startBy(c clock, now time.Time) time.Time {
	return time.Unix(min(c.minute(m.middle), c.minute(now))*60, 0).UTC()
}

// runs is the number of runs.
func (m minute) runs() (runs int64) {
	for _, one := range m.kinds {
		for _, count := range one.results {
			runs += count
		}
	}
	return runs
}

// merge joins the parts of each minute. The numbers of minutes do not tell them apart,
// because the clock may have been set between two parts.
func merge(minutes []minute) []minute {
	var merged []minute
	for _, one := range minutes {
		known := slices.IndexFunc(merged, func(m minute) bool { return one.middle.Sub(m.middle).Abs() < 30*time.Second })
		if known < 0 {
			merged = append(merged, one)
			continue
		}
		for of, figures := range one.kinds {
			if into := merged[known].kinds[of]; into != nil {
				into.merge(figures)
			} else {
				merged[known].kinds[of] = figures
			}
		}
	}
	return merged
}

// The results of runs, in the order of the columns of job_figures.
const (
	done = iota
	failed
	cancelled
	expired
	later
	returned
	results
)

// tally is the figures of one kind.
type tally struct {
	results     [results]int64
	run, wait   time.Duration
	runs, waits histogram
}

func (t *tally) add(run Run) {
	result := resultOf(run.Result)
	t.results[result]++
	if result != done && result != failed {
		return
	}
	t.run += run.Took
	t.runs[bucketOf(run.Took)]++
	if run.Waited >= 0 {
		t.wait += run.Waited
		t.waits[bucketOf(run.Waited)]++
	}
}

func (t *tally) merge(other *tally) {
	for i, count := range other.results {
		t.results[i] += count
	}
	t.run += other.run
	t.wait += other.wait
	for i := range t.runs {
		t.runs[i] += other.runs[i]
		t.waits[i] += other.waits[i]
	}
}

// resultOf counts a result that this package does not know as failed, so that it
// shows.
func resultOf(name string) int {
	switch name {
	case "done":
		return done
	case "cancelled":
		return cancelled
	case "expired":
		return expired
	case "later":
		return later
	case "returned":
		return returned
	}
	return failed
}
