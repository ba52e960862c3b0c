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

// phrase reads the next phrase.
func (s *sentence) phrase() error {
	switch {
	case s.take("every"):
		return s.every()
	case s.take("at"):
		if s.take("minute", "minutes") {
			return s.list(s.minute)
		}
		return s.timesOfDay("at")
	case s.take("on"):
		s.take("the")
		return s.days("on")
	case s.take("from"):
		if err := s.days("from"); err != nil || len(s.weekdays) > 1 {
			return err
		}
		return s.unexpected("from")
	case s.take("of"):
		s.take("the", "every", "each")
		if !s.take("month") || len(s.monthDays) == 0 {
			return s.unexpected("of")
		}
		return nil
	case s.isDay():
		return s.days(s.words[0])
	case s.count > 0 && clock.MatchString(s.words[0]): // every day 9am
		return s.timesOfDay(s.words[0])
	}
	return s.unexpected(s.words[0])
}

// days reads days of the week or of the month. A sentence names days once.
func (s *sentence) days(word string) error {
	if len(s.weekdays)+len(s.monthDays) > 0 {
		return s.unexpected(word)
	}
	if s.take("day", "days") {
		return s.list(s.monthDay)
	}
	return s.list(s.day)
}

// timesOfDay reads times of day. A sentence names them once.
func (s *sentence) timesOfDay(word string) error {
	if len(s.times) > 0 {
		return s.unexpected(word)
	}
	return s.list(s.time)
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
		return s.days("every")
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
	if match := dayRange.FindStringSubmatch(s.words[0]); match != nil {
		_, weekday = weekdaysOf(match[1])
	}
	return weekday || monthDay
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
