package recurring

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Schedule is the times at which an entry is due: an interval, or times of day.
type Schedule struct {
	interval  time.Duration // 0: times of day
	calendars []calendar    // one for each time of day
}

// ParseSchedule reads words ("every 5 minutes", "every monday at 9am") or a cron
// expression ("*/5 9-17 * * mon-fri"). The list of all forms is in docs/schedules.md.
// Times of day are in zone, unless the text names another one.
func ParseSchedule(text string, zone *time.Location) (Schedule, error) {
	schedule, err := parseSchedule(text, zone)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", text, err)
	}
	return schedule, nil
}

// Next returns the first due time after a time, zero when there is none. Intervals
// count from the Unix epoch, so that every process computes the same times.
func (s Schedule) Next(after time.Time) time.Time {
	if s.interval > 0 {
		elapsed := time.Duration(after.UnixNano()) % s.interval
		return after.Add(s.interval - elapsed).UTC()
	}
	var first time.Time
	for _, calendar := range s.calendars {
		if next := calendar.next(after); first.IsZero() || !next.IsZero() && next.Before(first) {
			first = next
		}
	}
	return first
}

// Zone returns the zone of the times of day, UTC for an interval.
func (s Schedule) Zone() *time.Location {
	if len(s.calendars) == 0 {
		return time.UTC
	}
	return s.calendars[0].zone
}

// Private

// errForms ends the error of a text that is not understood.
var errForms = errors.New(`write "every 5 minutes", "every hour at minute 12", "every day at 9am and 5pm", "every monday at 18:30", ` +
	`"every 2 days at noon", "every month on the 15th at 9am" or a cron expression; docs/schedules.md lists all forms`)

func parseSchedule(text string, zone *time.Location) (Schedule, error) {
	words, named, err := takeZone(strings.Fields(text))
	if err != nil {
		return Schedule{}, err
	}
	if named != nil {
		zone = named
	}
	var schedule Schedule
	if len(words) > 0 && cronStart.MatchString(words[0]) {
		schedule, err = parseCron(strings.ToLower(strings.Join(words, " ")), zone)
	} else {
		schedule, err = parseWords(words, zone)
	}
	if err != nil {
		return Schedule{}, err
	}
	if named != nil && schedule.interval > 0 {
		return Schedule{}, fmt.Errorf("an interval has no time of day: leave out %s", named)
	}
	if schedule.Next(time.Unix(0, 0)).IsZero() {
		return Schedule{}, errors.New("the calendar has no such day")
	}
	return schedule, nil
}

var (
	cronStart   = regexp.MustCompile(`^(@.*|[0-9*?][0-9*?,/-]*)$`)
	cronParser  = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	cronWord    = regexp.MustCompile(`[^ ,/*?-]+`)
	cronName    = regexp.MustCompile(`^(\d+|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)$`)
	quartzWord  = regexp.MustCompile(`^(.*#.*|[0-9]*[lw]|lw|(sun|mon|tue|wed|thu|fri|sat)l)$`)
	untilSunday = regexp.MustCompile(`^(\d)-7$`)
)

// parseCron reads a cron expression of five fields, of six with seconds first, or a
// name such as @daily.
func parseCron(expression string, zone *time.Location) (Schedule, error) {
	if err := checkCronWords(expression); err != nil {
		return Schedule{}, fmt.Errorf("%w; %w", err, errForms)
	}
	parsed, err := cronParser.Parse(withSunday(expression))
	if err != nil {
		return Schedule{}, fmt.Errorf("%w; %w", err, errForms)
	}
	if delay, is := parsed.(cron.ConstantDelaySchedule); is { // @every 5m
		return Schedule{interval: delay.Delay}, nil
	}
	fields := parsed.(*cron.SpecSchedule) // the parser makes no other type
	fields.Location = time.UTC
	return Schedule{calendars: []calendar{{fields: fields, zone: zone}}}, nil
}

// checkCronWords refuses words that no field of a cron expression has.
func checkCronWords(expression string) error {
	if strings.HasPrefix(expression, "@") {
		return nil
	}
	for _, word := range cronWord.FindAllString(expression, -1) {
		switch {
		case quartzWord.MatchString(word):
			return fmt.Errorf("%q has one of L, W and #, which are part of Quartz and not of cron", word)
		case !cronName.MatchString(word):
			return fmt.Errorf("%q is no number, month or day of the week", word)
		}
	}
	return nil
}

// withSunday writes Sunday as 0, where an expression has 7 as the day of the week.
func withSunday(expression string) string {
	fields := strings.Fields(expression)
	if len(fields) < 5 {
		return expression
	}
	days := strings.Split(fields[len(fields)-1], ",")
	for i, day := range days {
		if day == "7" {
			days[i] = "0"
		}
		days[i] = untilSunday.ReplaceAllString(days[i], "$1-6,0")
	}
	fields[len(fields)-1] = strings.Join(days, ",")
	return strings.Join(fields, " ")
}
