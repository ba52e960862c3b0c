package recurring

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Private

// sentence is what the words of a schedule have said so far, and the words that
// follow.
type sentence struct {
	words []string

	count     int    // 0: there was no "every"
	unit      string // second, minute, hour, day, week, month, year; empty: days are named
	weekdays  []int
	monthDays []int
	times     []timeOfDay
	minutes   []int // of "every hour at minute 12"
}

// schedule returns the schedule that the sentence describes.
func (s *sentence) schedule(zone *time.Location) (Schedule, error) {
	if s.count+len(s.weekdays)+len(s.monthDays)+len(s.times) == 0 {
		return Schedule{}, errForms
	}
	named := len(s.weekdays)+len(s.monthDays) > 0
	if length := lengths[s.unit]; length > 0 {
		if named || len(s.times) > 0 {
			return Schedule{}, fmt.Errorf(`"every %s" goes on all day and every day; %w`, s.unit, errForms)
		}
		if s.unit == "hour" && len(s.minutes) > 0 {
			return s.hours(zone)
		}
		if len(s.minutes) == 0 {
			return Schedule{interval: time.Duration(s.count) * length}, nil
		}
	}
	if len(s.minutes) > 0 {
		return Schedule{}, fmt.Errorf(`"at minute" goes with "every hour" only; %w`, errForms)
	}
	return s.calendars(zone)
}

// hours returns "every 2 hours at minute 12".
func (s *sentence) hours(zone *time.Location) (Schedule, error) {
	if 24%s.count != 0 {
		return Schedule{}, fmt.Errorf(`with "at minute", the number of hours must divide 24`)
	}
	return parseCron(fmt.Sprintf("%s */%d * * *", joined(s.minutes), s.count), zone)
}

// calendars returns a schedule of days and times of day.
func (s *sentence) calendars(zone *time.Location) (Schedule, error) {
	dayOfMonth, month, weekday := "*", "*", "*"
	var nthDay, nthWeek int
	switch s.unit {
	case "day":
		nthDay = s.count
	case "week":
		nthWeek = s.count
		weekday = "0" // the same as in Solid Queue
	case "month":
		if 12%s.count != 0 {
			return Schedule{}, fmt.Errorf("the number of months must divide 12")
		}
		dayOfMonth, month = "1", fmt.Sprintf("*/%d", s.count)
	case "year":
		dayOfMonth, month = "1", "1"
	}
	if s.contradicts() {
		return Schedule{}, fmt.Errorf("these days do not go together; %w", errForms)
	}
	if len(s.weekdays) > 0 {
		weekday = joined(s.weekdays)
	}
	if len(s.monthDays) > 0 {
		dayOfMonth = joined(s.monthDays)
	}
	if len(s.times) == 0 {
		s.times = []timeOfDay{{}} // midnight
	}
	var all Schedule
	for _, time := range s.times {
		one, err := parseCron(fmt.Sprintf("%d %d %s %s %s", time.minute, time.hour, dayOfMonth, month, weekday), zone)
		if err != nil {
			return Schedule{}, err
		}
		one.calendars[0].nthDay, one.calendars[0].nthWeek = nthDay, nthWeek
		all.calendars = append(all.calendars, one.calendars...)
	}
	return all, nil
}

// contradicts reports whether days are named that do not go together, such as "every
// day on the 1st" and "every month on monday".
func (s *sentence) contradicts() bool {
	weekdays, monthDays := len(s.weekdays) > 0, len(s.monthDays) > 0
	switch s.unit {
	case "day":
		return weekdays || monthDays
	case "week":
		return monthDays
	case "month":
		return weekdays
	case "year":
		return weekdays || monthDays || s.count > 1
	}
	return weekdays && monthDays
}

func joined(numbers []int) string {
	var texts []string
	for _, number := range slices.Compact(slices.Sorted(slices.Values(numbers))) {
		texts = append(texts, strconv.Itoa(number))
	}
	return strings.Join(texts, ",")
}
