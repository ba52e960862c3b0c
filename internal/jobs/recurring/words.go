package recurring

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// parseWords reads a schedule in words. The phrases "every …", "at …" and "on …"
// may come in any order.
func parseWords(words []string, zone *time.Location) (Schedule, error) {
	text := strings.ReplaceAll(strings.Join(words, " "), ",", " , ")
	if months := capitalM.FindString(text); months != "" {
		return Schedule{}, fmt.Errorf("%q is not clear: write minutes or months", months)
	}
	s := sentence{words: strings.Fields(strings.ToLower(text))}
	for len(s.words) > 0 {
		if err := s.phrase(); err != nil {
			return Schedule{}, err
		}
	}
	return s.schedule(zone)
}

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

// phrase reads the next phrase.
func (s *sentence) phrase() error {
	switch {
	case s.take("every"):
		return s.every()
	case s.take("at"):
		if s.take("minute", "minutes") {
			return s.list(s.minute)
		}
		return s.list(s.time)
	case s.take("on", "from"):
		s.take("the")
		if s.take("day", "days") {
			return s.list(s.monthDay)
		}
		return s.list(s.day)
	case s.take("of"):
		s.take("the", "every", "each")
		if !s.take("month") || len(s.monthDays) == 0 {
			return s.unexpected("of")
		}
		return nil
	case s.isDay():
		return s.list(s.day)
	case s.count > 0 && clock.MatchString(s.words[0]): // every day 9am
		return s.list(s.time)
	}
	return s.unexpected(s.words[0])
}

// every reads what follows the word "every".
func (s *sentence) every() error {
	if s.count > 0 {
		return s.unexpected("every")
	}
	s.count = 1
	if len(s.words) == 0 {
		return errForms
	}
	if s.isDay() {
		return s.list(s.day)
	}
	if match := amount.FindStringSubmatch(s.words[0]); match != nil && units[match[2]] != "" {
		s.words = slices.Concat(match[1:], s.words[1:])
	}
	if s.take("other") {
		s.count = 2
	} else if count, is := number(s.words[0]); is {
		s.words, s.count = s.words[1:], count
	}
	if s.count < 1 || s.count > 10_000 {
		return fmt.Errorf("the number must be from 1 to 10000")
	}
	if len(s.words) == 0 {
		return errForms
	}
	word := s.words[0]
	if s.unit = units[word]; s.unit == "" {
		s.unit = units[strings.TrimSuffix(word, "s")]
	}
	if s.unit == "" {
		return s.unexpected(word)
	}
	s.words = s.words[1:]
	return nil
}

// list reads items that are separated by commas or "and".
func (s *sentence) list(item func() error) error {
	for {
		if len(s.words) == 0 {
			return fmt.Errorf("it ends too early; %w", errForms)
		}
		if err := item(); err != nil {
			return err
		}
		comma := s.take(",")
		if and := s.take("and"); !and && !comma {
			return nil
		}
	}
}

// day reads a day of the week, a range of them, or an ordinal.
func (s *sentence) day() error {
	if s.take("the"); len(s.words) == 0 {
		return s.unexpected("the")
	}
	word := s.words[0]
	if day, is := dayOfMonth(word); is {
		s.words = s.words[1:]
		s.take("day")
		s.monthDays = append(s.monthDays, day)
		return nil
	}
	if match := dayRange.FindStringSubmatch(word); match != nil {
		s.words = slices.Concat([]string{match[1], "to", match[2]}, s.words[1:])
	}
	days, is := weekdaysOf(s.words[0])
	if !is {
		return s.unexpected(word)
	}
	s.words = s.words[1:]
	if s.take("to", "through") {
		if len(s.words) == 0 {
			return s.unexpected("to")
		}
		last, is := weekdaysOf(s.words[0])
		if !is || len(last) > 1 || len(days) > 1 {
			return s.unexpected(s.words[0])
		}
		s.words = s.words[1:]
		for day := days[0]; day != last[0]; {
			day = (day + 1) % 7
			days = append(slices.Clip(days), day)
		}
	}
	s.weekdays = append(s.weekdays, days...)
	return nil
}

// monthDay reads a day of the month as a number.
func (s *sentence) monthDay() error {
	day, is := number(s.words[0])
	if !is || day < 1 || day > 31 {
		return fmt.Errorf("%q is no day of a month: write 1 to 31", s.words[0])
	}
	s.words = s.words[1:]
	s.monthDays = append(s.monthDays, day)
	return nil
}

// minute reads a minute of the hour.
func (s *sentence) minute() error {
	minute, is := number(s.words[0])
	if !is || minute > 59 {
		return fmt.Errorf("%q is no minute of an hour: write 0 to 59", s.words[0])
	}
	s.words = s.words[1:]
	s.minutes = append(s.minutes, minute)
	return nil
}

// time reads a time of day.
func (s *sentence) time() error {
	word := s.words[0]
	s.words = s.words[1:]
	if len(s.words) > 0 && (s.words[0] == "am" || s.words[0] == "pm") {
		if value, is := number(word); is {
			word = strconv.Itoa(value)
		}
		word += s.words[0]
		s.words = s.words[1:]
	}
	time, err := parseTimeOfDay(word)
	if err != nil {
		return err
	}
	s.times = append(s.times, time)
	return nil
}

func (s *sentence) isDay() bool {
	_, weekday := weekdaysOf(s.words[0])
	_, monthDay := dayOfMonth(s.words[0])
	monthDay = monthDay && s.words[0] != "second" // every second
	return weekday || monthDay || dayRange.MatchString(s.words[0])
}

// take skips the next word if it is one of some words.
func (s *sentence) take(words ...string) bool {
	if len(s.words) == 0 || !slices.Contains(words, s.words[0]) {
		return false
	}
	s.words = s.words[1:]
	return true
}

func (s *sentence) unexpected(word string) error {
	return fmt.Errorf("%q is not understood here; %w", word, errForms)
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
	return s.days(zone)
}

// hours returns "every 2 hours at minute 12".
func (s *sentence) hours(zone *time.Location) (Schedule, error) {
	if 24%s.count != 0 {
		return Schedule{}, fmt.Errorf(`with "at minute", the number of hours must divide 24`)
	}
	return parseCron(fmt.Sprintf("%s */%d * * *", joined(s.minutes), s.count), zone)
}

// days returns a schedule of days and times of day.
func (s *sentence) days(zone *time.Location) (Schedule, error) {
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
