package recurring

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Private

type timeOfDay struct{ hour, minute int }

var units = map[string]string{
	"s": "second", "sec": "second", "second": "second", "m": "minute", "min": "minute", "minute": "minute",
	"h": "hour", "hour": "hour", "day": "day", "week": "week", "month": "month", "year": "year",
}

var lengths = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}

// weekdays are the days of the week, with Sunday as 0.
var weekdays = map[string][]int{
	"sun": {0}, "sunday": {0}, "mon": {1}, "monday": {1}, "tue": {2}, "tuesday": {2}, "wed": {3}, "wednesday": {3},
	"thu": {4}, "thursday": {4}, "fri": {5}, "friday": {5}, "sat": {6}, "saturday": {6},
	"weekday": {1, 2, 3, 4, 5}, "weekend": {6, 0},
}

var (
	numbers = []string{
		"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
		"fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
	}
	tens     = map[string]int{"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60}
	ordinals = []string{"", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"}

	amount   = regexp.MustCompile(`^(\d+)([a-z]+)$`) // 5m
	capitalM = regexp.MustCompile(`\b\d+ ?M\b`)      // months in other programs
	ordinal  = regexp.MustCompile(`^(\d{1,2})(?:st|nd|rd|th)$`)
	dayRange = regexp.MustCompile(`^([a-z]+)-([a-z]+)$`) // mon-fri
	clock    = regexp.MustCompile(`^(\d{1,2})(?::(\d{2}))?(am|pm)?$`)
)

// number reads "5", "five" or "forty-five".
func number(word string) (value int, is bool) {
	if i := slices.Index(numbers, word); i >= 0 {
		return i, true
	}
	ten, one, two := strings.Cut(word, "-")
	if value, is = tens[ten]; is && two {
		i := slices.Index(numbers, one)
		return value + i, i > 0 && i < 10 && value < 60
	}
	if is {
		return value, true
	}
	value, err := strconv.Atoi(word)
	return value, err == nil && value >= 0
}

// dayOfMonth reads "15th" or "first".
func dayOfMonth(word string) (day int, is bool) {
	if i := slices.Index(ordinals, word); i > 0 {
		return i, true
	}
	match := ordinal.FindStringSubmatch(word)
	if match == nil {
		return 0, false
	}
	day, _ = strconv.Atoi(match[1]) // two digits
	return day, day >= 1 && day <= 31
}

// weekdaysOf reads "monday", "mon" or "mondays".
func weekdaysOf(word string) (days []int, is bool) {
	if days, is = weekdays[word]; !is {
		days, is = weekdays[strings.TrimSuffix(word, "s")]
	}
	return days, is
}

func parseTimeOfDay(text string) (timeOfDay, error) {
	switch text {
	case "noon":
		return timeOfDay{hour: 12}, nil
	case "midnight":
		return timeOfDay{}, nil
	}
	if hour, is := number(text); is {
		text = strconv.Itoa(hour)
	}
	match := clock.FindStringSubmatch(text)
	if match == nil {
		return timeOfDay{}, fmt.Errorf(`%q is no time of day: write 9am, 9:30pm or 21:30`, text)
	}
	var time timeOfDay
	time.hour, _ = strconv.Atoi(match[1])
	if match[2] != "" {
		time.minute, _ = strconv.Atoi(match[2])
	}
	twelve := match[3] != ""
	if time.minute > 59 || time.hour > 23 || twelve && (time.hour < 1 || time.hour > 12) {
		return timeOfDay{}, fmt.Errorf("%q is no time of day", text)
	}
	if twelve {
		time.hour %= 12
		if match[3] == "pm" {
			time.hour += 12
		}
	}
	return time, nil
}
