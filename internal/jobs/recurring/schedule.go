package recurring

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is the times at which an entry is due.
type Schedule struct {
	every time.Duration // 0: cron
	cron  cron.Schedule
}

// ParseSchedule reads a cron expression of five fields ("*/5 9-17 * * mon-fri")
// or words: "every second", "every 5 minutes", "every 2 hours", "every day at
// 9am", "every weekday at 18:30", "every monday at 9:15pm". Times of day are
// in zone. On the night when clocks are set forward, times that do not exist
// are skipped, as cron does.
func ParseSchedule(text string, zone *time.Location) (Schedule, error) {
	words := strings.ToLower(strings.Join(strings.Fields(text), " "))
	if match := interval.FindStringSubmatch(words); match != nil {
		return parseInterval(text, match)
	}
	expression := words
	if match := daily.FindStringSubmatch(words); match != nil {
		hour, minute, err := parseTimeOfDay(match[2])
		if err != nil {
			return Schedule{}, fmt.Errorf("schedule %q: %w", text, err)
		}
		expression = fmt.Sprintf("%d %d * * %s", minute, hour, days[match[1]])
	}
	if strings.HasPrefix(expression, "every") {
		const examples = `"every 5 minutes", "every day at 9am", "every monday at 18:30"`
		return Schedule{}, fmt.Errorf("schedule %q: write "+examples+" or a cron expression", text)
	}
	schedule, err := cron.ParseStandard("CRON_TZ=" + zone.String() + " " + expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", text, err)
	}
	return Schedule{cron: schedule}, nil
}

// Next returns the first due time after a time, zero when there is none. Intervals
// count from the Unix epoch, so that every process computes the same times.
func (s Schedule) Next(after time.Time) time.Time {
	if s.every > 0 {
		elapsed := time.Duration(after.UnixNano()) % s.every
		return after.Add(s.every - elapsed).UTC()
	}
	return s.cron.Next(after).UTC()
}

// Private

var (
	interval = regexp.MustCompile(`^every (?:(\d+) )?(second|minute|hour)s?$`)
	daily    = regexp.MustCompile(`^every (day|weekday|monday|tuesday|wednesday|thursday|friday|saturday|sunday) at (.+)$`)
	clock    = regexp.MustCompile(`^(\d{1,2})(?::(\d{2}))? ?(am|pm)?$`)
)

var units = map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}

// days are the days of the week as cron writes them.
var days = map[string]string{
	"day": "*", "weekday": "1-5", "monday": "1", "tuesday": "2", "wednesday": "3", "thursday": "4", "friday": "5",
	"saturday": "6", "sunday": "0",
}

func parseInterval(text string, match []string) (Schedule, error) {
	count := 1
	if match[1] != "" {
		var err error
		if count, err = strconv.Atoi(match[1]); err != nil || count < 1 || count > 10_000 {
			return Schedule{}, fmt.Errorf("schedule %q: the number must be from 1 to 10000", text)
		}
	}
	return Schedule{every: time.Duration(count) * units[match[2]]}, nil
}

func parseTimeOfDay(text string) (hour, minute int, err error) {
	switch text {
	case "noon":
		return 12, 0, nil
	case "midnight":
		return 0, 0, nil
	}
	match := clock.FindStringSubmatch(text)
	if match == nil {
		return 0, 0, fmt.Errorf(`%q is no time of day: write 9am, 9:30pm or 21:30`, text)
	}
	hour, _ = strconv.Atoi(match[1])
	if match[2] != "" {
		minute, _ = strconv.Atoi(match[2])
	}
	twelve := match[3] != ""
	if minute > 59 || hour > 23 || twelve && (hour < 1 || hour > 12) {
		return 0, 0, fmt.Errorf("%q is no time of day", text)
	}
	if twelve {
		hour %= 12
		if match[3] == "pm" {
			hour += 12
		}
	}
	return hour, minute, nil
}
