package recurring

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSchedule_ReadsWordsAndCron(t *testing.T) {
	t.Parallel()
	monday := at(t, "2026-11-23T08:30:10Z") // 9:30 in Amsterdam

	for text, next := range map[string]string{
		"every second":             "2026-11-23T08:30:11Z",
		"every 5 minutes":          "2026-11-23T08:35:00Z",
		"every minute":             "2026-11-23T08:31:00Z",
		"Every  2 Hours":           "2026-11-23T10:00:00Z",
		"every 100 minutes":        "2026-11-23T10:00:00Z",
		"every five mins":          "2026-11-23T08:35:00Z",
		"every thirty secs":        "2026-11-23T08:30:30Z",
		"every forty-five minutes": "2026-11-23T09:00:00Z",
		"every 5m":                 "2026-11-23T08:35:00Z",
		"every 30s":                "2026-11-23T08:30:30Z",
		"every other hour":         "2026-11-23T10:00:00Z",
		"@every 90s":               "2026-11-23T08:31:30Z",

		"every hour at minute 12":              "2026-11-23T09:12:00Z",
		"every hour at minutes 0, 20 and 40":   "2026-11-23T08:40:00Z",
		"every 2 hours at minute 5":            "2026-11-23T09:05:00Z", // 10:05
		"every hour at minute 12 Asia/Kolkata": "2026-11-23T08:42:00Z", // 14:12

		"every day":                             "2026-11-23T23:00:00Z",
		"every day at 9am":                      "2026-11-24T08:00:00Z",
		"every day at 9:45am":                   "2026-11-23T08:45:00Z",
		"every day at 21:30":                    "2026-11-23T20:30:00Z",
		"every day at 12am":                     "2026-11-23T23:00:00Z",
		"every day at noon":                     "2026-11-23T11:00:00Z",
		"every day at five":                     "2026-11-24T04:00:00Z",
		"every day at five pm":                  "2026-11-23T16:00:00Z",
		"every day at 5 pm":                     "2026-11-23T16:00:00Z",
		"every day at 17":                       "2026-11-23T16:00:00Z",
		"every day 5pm":                         "2026-11-23T16:00:00Z",
		"at 9:45am every day":                   "2026-11-23T08:45:00Z",
		"at 9:45am":                             "2026-11-23T08:45:00Z",
		"every day at 8am and 5pm":              "2026-11-23T16:00:00Z",
		"every day at 9, 9:35am, noon and 5pm":  "2026-11-23T08:35:00Z",
		"every day at 9am Europe/Vienna":        "2026-11-24T08:00:00Z",
		"every day at 9am America/New_York":     "2026-11-23T14:00:00Z",
		"every day at 9am in America/New_York":  "2026-11-23T14:00:00Z",
		"at 9am America/New_York every weekday": "2026-11-23T14:00:00Z",
		"every day at 9am utc":                  "2026-11-23T09:00:00Z",
		"every day at 9am Etc/GMT+5":            "2026-11-23T14:00:00Z",

		"every weekday at 9am":                   "2026-11-24T08:00:00Z",
		"every weekend at 9am":                   "2026-11-28T08:00:00Z",
		"every monday":                           "2026-11-29T23:00:00Z",
		"at 6am every Monday":                    "2026-11-30T05:00:00Z",
		"mondays at 6am":                         "2026-11-30T05:00:00Z",
		"every saturday at 7pm":                  "2026-11-28T18:00:00Z",
		"every sunday at 00:05":                  "2026-11-28T23:05:00Z",
		"every tuesday and thursday at 5pm":      "2026-11-24T16:00:00Z",
		"every thu, fri, and sun at noon":        "2026-11-26T11:00:00Z",
		"every thursday to saturday at 9am":      "2026-11-26T08:00:00Z",
		"every fri-sun at 9am":                   "2026-11-27T08:00:00Z",
		"from thursday to friday at 9am":         "2026-11-26T08:00:00Z",
		"at 5pm on tuesday":                      "2026-11-24T16:00:00Z",
		"every week":                             "2026-11-28T23:00:00Z", // Sunday, as in Solid Queue
		"every week on thursday at 9am":          "2026-11-26T08:00:00Z",
		"every 2 weeks on thursday at 9am":       "2026-12-03T08:00:00Z",
		"every month":                            "2026-11-30T23:00:00Z",
		"every month at 4am":                     "2026-12-01T03:00:00Z",
		"every month on the 25th at 4am":         "2026-11-25T03:00:00Z",
		"every month on day 25 at 4:00":          "2026-11-25T03:00:00Z",
		"every 2 months":                         "2026-12-31T23:00:00Z",
		"on the 1st and 25th of every month":     "2026-11-24T23:00:00Z",
		"every 25th of the month at noon":        "2026-11-25T11:00:00Z",
		"every first day of the month at noon":   "2026-12-01T11:00:00Z",
		"at noon on the first of the month":      "2026-12-01T11:00:00Z",
		"every year":                             "2026-12-31T23:00:00Z",
		"every year at 9am":                      "2027-01-01T08:00:00Z",
		"*/15 9-17 * * mon-fri":                  "2026-11-23T08:45:00Z",
		"*/15 9-17 * * mon-fri America/New_York": "2026-11-23T14:00:00Z",
		"*/20 * * * * *":                         "2026-11-23T08:30:20Z",
		"0 4 1 * *":                              "2026-12-01T03:00:00Z",
		"0 4 * * 7":                              "2026-11-29T03:00:00Z",
		"0 4 * * 5-7":                            "2026-11-27T03:00:00Z",
		"0 4 * * 1,7":                            "2026-11-29T03:00:00Z",
		"@daily":                                 "2026-11-23T23:00:00Z",
	} {
		schedule, err := ParseSchedule(text, zone(t, "Europe/Amsterdam"))
		require.NoError(t, err, text)
		require.Equal(t, next, schedule.Next(monday).Format(time.RFC3339), text)
	}
}

func TestParseSchedule_ReadsEveryFormOfTheDocumentation(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/schedules.md")
	require.NoError(t, err)
	forms, _, _ := strings.Cut(string(page), "## Zones")

	count := 0
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?`) \\|").FindAllStringSubmatch(forms, -1) {
		for _, form := range regexp.MustCompile("`(.*?)`").FindAllStringSubmatch(row[1], -1) {
			_, err := ParseSchedule(form[1], time.UTC)
			require.NoError(t, err)
			count++
		}
	}
	require.Greater(t, count, 40)
}

func TestParseSchedule_CountsDaysAndWeeksAlong(t *testing.T) {
	t.Parallel()
	for text, times := range map[string][]string{
		// In cron, */2 runs on the 31st and again on the 1st.
		"every 2 days at 9am":              {"2026-10-30T08:00:00Z", "2026-11-01T08:00:00Z", "2026-11-03T08:00:00Z"},
		"every 2 weeks on thursday at 9am": {"2026-11-05T08:00:00Z", "2026-11-19T08:00:00Z", "2026-12-03T08:00:00Z"},
		"every 3 months at 9am":            {"2027-01-01T08:00:00Z", "2027-04-01T07:00:00Z", "2027-07-01T07:00:00Z"},
	} {
		schedule, err := ParseSchedule(text, zone(t, "Europe/Amsterdam"))
		require.NoError(t, err)
		require.Equal(t, times, upcoming(schedule, "2026-10-29T09:00:00Z", 3), text)
	}
}

func TestParseSchedule_RefusesOtherText(t *testing.T) {
	t.Parallel()

	for text, problem := range map[string]string{
		"":                                    `write "every 5 minutes"`,
		"every":                               `write "every 5 minutes"`,
		"every 5":                             `write "every 5 minutes"`,
		"every 0 minutes":                     "the number must be from 1 to 10000",
		"every 10001 minutes":                 "the number must be from 1 to 10000",
		"every forty-ten minutes":             `"forty-ten" is not understood here`,
		"every fortnight":                     `"fortnight" is not understood here; write "every 5 minutes"`,
		"every 5M":                            `"5M" is not clear: write minutes or months`,
		"every day at 25:00":                  `"25:00" is no time of day`,
		"every day at 13pm":                   `"13pm" is no time of day`,
		"every day at 9:75":                   `"9:75" is no time of day`,
		"every day at tea":                    `"tea" is no time of day`,
		"every day at":                        "it ends too early",
		"every day at 9am and":                "it ends too early",
		"every day at 9am EST":                `zone "EST": it has no summer time`,
		"0 9 * * * mst":                       `zone "MST": it has no summer time`,
		"0 9 * * * CET":                       `"cet" is no number, month or day of the week`,
		"0 0 L * *":                           `"l" has one of L, W and #`,
		"0 0 15W * *":                         `"15w" has one of L, W and #`,
		"0 0 * * mon#2":                       `"mon#2" has one of L, W and #`,
		"0 0 * * friL":                        `"fril" has one of L, W and #`,
		"every sixty-one minutes":             `"sixty-one" is not understood here`,
		"every day at 9am Local":              "can differ between two machines",
		"every day at 9am Europe/Atlantis":    "write a name of the time zone database",
		"every day at 9am europe/vienna":      "write a name of the time zone database",
		"every day at 9am UTC Europe/Vienna":  `"europe/vienna" is not understood here`,
		"every day at 9am daily":              `"daily" is not understood here`,
		"every monday on tuesday":             `"on" is not understood here`,
		"monday every tuesday":                `"every" is not understood here`,
		"every day at 9am at 5pm":             `"at" is not understood here`,
		"every day 9am at 5pm":                `"at" is not understood here`,
		"from monday at 9am":                  `"from" is not understood here`,
		"every day every monday":              `"every" is not understood here`,
		"every day on monday":                 "these days do not go together",
		"every month on monday":               "these days do not go together",
		"every monday on the 1st":             `"on" is not understood here`,
		"every monday and 1st":                "these days do not go together",
		"every 2 years":                       "these days do not go together",
		"every 5 months":                      "the number of months must divide 12",
		"every 5 minutes on monday":           `"every minute" goes on all day and every day`,
		"every 2 hours at 9am":                `"every hour" goes on all day and every day`,
		"every 5 minutes Europe/Vienna":       "an interval has no time of day: leave out Europe/Vienna",
		"every day at minute 12":              `"at minute" goes with "every hour" only`,
		"every hour at minute 60":             `"60" is no minute of an hour`,
		"every 5 hours at minute 1":           "the number of hours must divide 24",
		"every month on day 32":               `"32" is no day of a month`,
		"every last day of the month":         `"last" is not understood here`,
		"every monday to weekday":             `"weekday" is not understood here`,
		"every day at 9am; every day at 10am": `"9am;" is no time of day`,
		"of the month":                        `"of" is not understood here`,
		"on the":                              "it ends too early",
		"* * * *":                             "expected 5 to 6 fields",
		"61 * * * *":                          "above maximum",
		"0 0 30 2 *":                          "the calendar has no such day",
		"@reboot":                             `write "every 5 minutes"`,
		"TZ=Local 0 9 * * *":                  "is not understood here",
	} {
		_, err := ParseSchedule(text, time.UTC)
		require.ErrorContains(t, err, problem, text)
		require.ErrorContains(t, err, `schedule "`+text+`"`)
	}
}

// Private

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return parsed
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	require.NoError(t, err)
	return zone
}

// upcoming returns the next times after a time.
func upcoming(schedule Schedule, after string, count int) []string {
	next, _ := time.Parse(time.RFC3339, after)
	var times []string
	for range count {
		next = schedule.Next(next)
		times = append(times, next.Format(time.RFC3339))
	}
	return times
}
