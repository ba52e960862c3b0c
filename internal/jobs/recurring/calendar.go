package recurring

import (
	"time"

	"github.com/robfig/cron/v3"
)

// calendar is the times that the fields of a cron expression describe, as the clocks
// of a zone show them. Clocks skip an hour in spring and repeat one in autumn:
//
//   - Times of day happen once for each day. A time that clocks repeat is due when
//     they show it first, and a time that they skip is due at the end of the gap.
//   - Times that happen in every hour, such as "12 * * * *", are due whenever clocks
//     show them.
type calendar struct {
	fields *cron.SpecSchedule // in UTC, because it computes with what clocks show
	zone   *time.Location
	// Only every nth day or week since the beginning of 1970 counts; 0: each.
	nthDay, nthWeek int
}

// next returns the first due time after a time, zero when there is none.
func (c calendar) next(after time.Time) time.Time {
	if c.fields.Hour&everyHour == everyHour {
		return c.nextShown(after)
	}
	// Clocks have shown everything up to now, and after a repeated hour also what
	// they showed before it.
	seen, start := c.shownAt(after), c.periodOf(after).start
	if !start.IsZero() {
		if before := c.shownBefore(start); before.After(seen) {
			seen = before
		}
	}
	shown := c.match(seen)
	if shown.IsZero() {
		return time.Time{}
	}
	return c.firstTime(shown)
}

// Private

// everyHour has one bit for each hour of the day, as the field Hour does.
const everyHour = uint64(1<<24 - 1)

// Times that clocks show are written as times in UTC: 2:30 in any zone is 2:30 UTC.

// period is a time between two changes of a zone's clocks.
type period struct {
	start, end time.Time // zero: there is no change before or after
	offset     time.Duration
}

func (c calendar) periodOf(at time.Time) period {
	local := at.In(c.zone)
	_, seconds := local.Zone()
	start, end := local.ZoneBounds()
	return period{start: start, end: end, offset: time.Duration(seconds) * time.Second}
}

// shownAt is what clocks show at a time.
func (c calendar) shownAt(at time.Time) time.Time { return at.Add(c.periodOf(at).offset).UTC() }

// shownBefore is the last second that clocks show before they change at a time.
func (c calendar) shownBefore(change time.Time) time.Time { return c.shownAt(change.Add(-time.Second)) }

// firstTime returns when clocks show something first. When they skip it, it returns
// the end of the gap.
func (c calendar) firstTime(shown time.Time) time.Time {
	const farthest = 48 * time.Hour // no clock differs as much from UTC
	at := shown.Add(-farthest)
	for {
		period := c.periodOf(at)
		found := shown.Add(-period.offset)
		if found.Before(period.start) {
			return period.start.UTC()
		}
		if period.end.IsZero() || found.Before(period.end) {
			return found
		}
		at = period.end
	}
}

// nextShown returns the first time after a time at which clocks show a match.
func (c calendar) nextShown(after time.Time) time.Time {
	seen := c.shownAt(after)
	for {
		period := c.periodOf(after)
		shown := c.match(seen)
		if shown.IsZero() {
			return time.Time{}
		}
		at := shown.Add(-period.offset)
		if period.end.IsZero() || at.Before(period.end) {
			return at
		}
		after = period.end
		seen = c.shownAt(after).Add(-time.Second)
	}
}

// match returns the first match after what clocks have shown, zero when there is none.
func (c calendar) match(seen time.Time) time.Time {
	for {
		seen = c.fields.Next(seen)
		day := int(seen.Unix() / (24 * 60 * 60))
		week := (day + 3) / 7 // 1970 began on a Thursday
		if seen.IsZero() || day%max(c.nthDay, 1) == 0 && week%max(c.nthWeek, 1) == 0 {
			return seen
		}
	}
}
