package inspect

import (
	"crypto/sha256"
	"encoding/hex"
	"time"

	"slipway/internal/jobs"
)

// PageSize is the most jobs and tasks of one page.
const PageSize = 500

// Filter selects jobs and tasks. Empty fields select everything.
type Filter struct {
	Backend jobs.Backend
	Queue   string
	Kind    string
	State   State
	ID      string     // pg:123, redis:QUEUE:ID, 123 for a job, or the id of a task in any queue
	Tag     string     // of jobs; tasks have none
	Args    []ArgsTerm // all of them match
	Since   Moment     // the work ended, or else last began to run, or else was enqueued then or later
	Until   Moment     // the same, before then
	Cause   string     // the Fingerprint of a Cause; selects failed and retrying work
	Batch   string     // the id of a batch of jobs
	Limit   int        // at most PageSize; default: PageSize
	After   Cursor     // the Next of the page before; default: the first page
}

// ArgsTerm selects work by one of its args. Value 5 matches the number 5 and the
// text "5". An arg that is masked for a kind matches nothing of that kind.
type ArgsTerm struct {
	Path  []string // the names of objects within each other
	Value string
}

// Moment is a point in time, or a time before now by the clock of the database.
// The zero Moment is no bound.
type Moment struct {
	Ago time.Duration
	At  time.Time
}

// IsZero reports whether m is no bound.
func (m Moment) IsZero() bool { return m.Ago == 0 && m.At.IsZero() }

// IsEmpty reports whether f selects everything.
func (f Filter) IsEmpty() bool { return f.String() == "" }

// Private

// at returns the point in time, when now is the time of the database.
func (m Moment) at(now time.Time) time.Time {
	if m.Ago != 0 {
		return now.Add(-m.Ago)
	}
	return m.At
}

// fixed is the moment as a point in time, when now is the time.
func (m Moment) fixed(now time.Time) Moment {
	if m.IsZero() {
		return m
	}
	return Moment{At: m.at(now)}
}

// hash is equal for filters that select the same. A cursor has the hash of its
// filter.
func (f Filter) hash() string {
	sum := sha256.Sum256([]byte(f.String()))
	return hex.EncodeToString(sum[:4])
}

func (f Filter) withoutArgs() Filter {
	f.Args, f.Batch = nil, ""
	return f
}

func (f Filter) withoutCause() Filter {
	f.Cause = ""
	return f
}

// ofJobsOnly reports whether no task can meet the filter.
func (f Filter) ofJobsOnly() bool { return f.Tag != "" || f.Batch != "" }

// needsReading reports whether a condition has no index that serves every value,
// so that work is read to find what meets it.
func (f Filter) needsReading() bool {
	return f.Tag != "" || len(f.Args) > 0 || !f.Since.IsZero() || !f.Until.IsZero() || f.Batch != ""
}
