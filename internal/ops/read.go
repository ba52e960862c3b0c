package ops

import (
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrNotFound means that an error or trace is not there, or not any more.
var ErrNotFound = errors.New("not found")

// Reader reads what the recorders of all processes stored.
type Reader struct{ db *pgxpool.Pool }

// NewReader returns a reader of db.
func NewReader(db *pgxpool.Pool) *Reader { return &Reader{db} }

// Range is the time that a page is about, until now.
type Range string

// The ranges.
const (
	LastHour     Range = "1h"
	LastSixHours Range = "6h"
	LastDay      Range = "24h"
	LastWeek     Range = "7d"
)

// Ranges are all ranges, the shortest first.
var Ranges = []Range{LastHour, LastSixHours, LastDay, LastWeek}

// RangeOf returns the range of a name, and LastHour for any other name.
func RangeOf(name string) Range {
	if _, known := ranges[Range(name)]; known {
		return Range(name)
	}
	return LastHour
}

// Length is the length of the range; Step is that of one point of its charts.
func (r Range) Length() time.Duration { return ranges[RangeOf(string(r))].length }

// Step is the length of one point of a chart.
func (r Range) Step() time.Duration {
	return time.Duration(ranges[RangeOf(string(r))].minutes) * time.Minute
}

// Private

// ranges are the ranges by name: their length, and the minutes of one stored step.
var ranges = map[Range]struct {
	length  time.Duration
	minutes int
}{
	LastHour:     {time.Hour, 1},
	LastSixHours: {6 * time.Hour, 10},
	LastDay:      {24 * time.Hour, 10},
	LastWeek:     {7 * 24 * time.Hour, 60},
}
