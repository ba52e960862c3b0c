package recurring

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// InWords says a schedule in words, such as "every day at 3:00" for "0 3 * * *". It
// returns a schedule that is written in words, and one with seconds, as it is.
func InWords(text string) string {
	words, zone, err := takeZone(strings.Fields(text))
	if err != nil || len(words) == 0 || !cronStart.MatchString(words[0]) {
		return text
	}
	fields := strings.Fields(strings.ToLower(strings.Join(words, " ")))
	if expression, named := cronNames[fields[0]]; named {
		fields = strings.Fields(expression)
	}
	if len(fields) != 5 {
		return text
	}
	said := []string{}
	time, ofDay := sayTime(fields[0], fields[1])
	days := sayDays(fields[2], fields[4])
	if ofDay && days == "" {
		days = "every day"
	}
	if ofDay {
		said = append(said, days, time)
	} else {
		said = append(said, time, days)
	}
	if fields[3] != "*" {
		said = append(said, "in "+sayList(fields[3], monthNames, 1))
	}
	if zone != nil {
		said = append(said, "in "+zone.String())
	}
	return strings.Join(strings.Fields(strings.Join(said, " ")), " ")
}

// Private

// cronNames are the expressions of the names that cron has.
var cronNames = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

var (
	monthNames = []string{
		"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
	}
	dayNames = []string{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"}

	cronStep    = regexp.MustCompile(`^\*/(\d+)$`)
	cronRange   = regexp.MustCompile(`^(\w+)-(\w+)$`)
	cronNumbers = regexp.MustCompile(`^\d+(,\d+)*$`)
)

// sayTime says the minutes and hours. The times are of the day when there are few of
// them, and else all through the day.
func sayTime(minute, hour string) (text string, ofDay bool) {
	every := cronStep.FindStringSubmatch(minute)
	everyHours := cronStep.FindStringSubmatch(hour)
	hours := cronRange.FindStringSubmatch(hour)
	oneMinute := cronNumbers.MatchString(minute) && !strings.Contains(minute, ",")
	switch {
	case oneMinute && cronNumbers.MatchString(hour):
		var times []string
		for _, h := range strings.Split(hour, ",") {
			m, _ := strconv.Atoi(minute) // digits alone
			times = append(times, fmt.Sprintf("%s:%02d", h, m))
		}
		return "at " + join(times), true
	case minute == "*":
		text = "every minute"
	case every != nil:
		text = "every " + every[1] + " minutes"
	case oneMinute && everyHours != nil && minute == "0":
		return "every " + everyHours[1] + " hours", false
	case oneMinute && minute == "0":
		text = "every hour"
	default:
		text = "every hour at minute " + sayList(minute, nil, 0)
	}
	switch {
	case hour == "*":
		return text, false
	case everyHours != nil:
		return text + ", in every " + ordinalOf(everyHours[1]) + " hour", false
	case hours != nil:
		return text + " from " + hours[1] + ":00 to " + hours[2] + ":59", false
	}
	return text + ", in hour " + sayList(hour, nil, 0), false
}

// sayDays says the days of the month and of the week. Cron takes a day that either of
// them names.
func sayDays(ofMonth, ofWeek string) string {
	var said []string
	if step := cronStep.FindStringSubmatch(ofMonth); step != nil {
		said = append(said, "every "+step[1]+" days of the month")
	} else if ofMonth != "*" && ofMonth != "?" {
		said = append(said, "on the "+sayList(ofMonth, daysOfMonth, 1)+" of the month")
	}
	if days := cronRange.FindStringSubmatch(ofWeek); days != nil {
		said = append(said, "from "+dayName(days[1])+" to "+dayName(days[2]))
	} else if ofWeek != "*" && ofWeek != "?" {
		said = append(said, "on "+sayList(ofWeek, dayNames, 0))
	}
	return strings.Join(said, " or ")
}

// sayList says the values of one field. Names begin with the value first.
func sayList(field string, names []string, first int) string {
	var said []string
	for _, part := range strings.Split(field, ",") {
		if bounds := cronRange.FindStringSubmatch(part); bounds != nil {
			said = append(said, nameOf(bounds[1], names, first)+" to "+nameOf(bounds[2], names, first))
			continue
		}
		said = append(said, nameOf(part, names, first))
	}
	return join(said)
}

// nameOf is the name of a number, or of a day or month that is written in three
// letters.
func nameOf(value string, names []string, first int) string {
	if number, err := strconv.Atoi(value); err == nil && number >= first && number-first < len(names) {
		return names[number-first]
	}
	for _, name := range names {
		if len(value) == 3 && strings.HasPrefix(strings.ToLower(name), value) {
			return name
		}
	}
	return value
}

func dayName(value string) string { return nameOf(value, dayNames, 0) }

// daysOfMonth are the days of a month.
var daysOfMonth = func() (all []string) {
	for day := 1; day <= 31; day++ {
		all = append(all, ordinalOf(strconv.Itoa(day)))
	}
	return all
}()

func ordinalOf(number string) string {
	switch {
	case strings.HasSuffix(number, "11"), strings.HasSuffix(number, "12"), strings.HasSuffix(number, "13"):
		return number + "th"
	case strings.HasSuffix(number, "1"):
		return number + "st"
	case strings.HasSuffix(number, "2"):
		return number + "nd"
	case strings.HasSuffix(number, "3"):
		return number + "rd"
	}
	return number + "th"
}

// join lists words as a sentence does.
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
