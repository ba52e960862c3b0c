package recurring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseSchedule_ReadsWordsAndCron(t *testing.T) {
	t.Parallel()
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	require.NoError(t, err)
	monday := "2026-11-23T08:30:10Z" // a Monday, 9:30 in Amsterdam

	for text, next := range map[string]string{
		"every second":          "2026-11-23T08:30:11Z",
		"every 5 minutes":       "2026-11-23T08:35:00Z",
		"every minute":          "2026-11-23T08:31:00Z",
		"Every  2 Hours":        "2026-11-23T10:00:00Z",
		"every day at 9am":      "2026-11-24T08:00:00Z",
		"every day at 9:45am":   "2026-11-23T08:45:00Z",
		"every day at 21:30":    "2026-11-23T20:30:00Z",
		"every day at 12am":     "2026-11-23T23:00:00Z",
		"every day at noon":     "2026-11-23T11:00:00Z",
		"every weekday at 9am":  "2026-11-24T08:00:00Z",
		"every saturday at 7pm": "2026-11-28T18:00:00Z",
		"every sunday at 00:05": "2026-11-28T23:05:00Z",
		"*/15 9-17 * * mon-fri": "2026-11-23T08:45:00Z",
		"0 4 1 * *":             "2026-12-01T03:00:00Z",
		"@daily":                "2026-11-23T23:00:00Z",
	} {
		schedule, err := ParseSchedule(text, amsterdam)
		require.NoError(t, err, text)
		require.Equal(t, next, schedule.Next(at(t, monday)).Format(time.RFC3339), text)
	}
}

func TestParseSchedule_RefusesOtherText(t *testing.T) {
	t.Parallel()

	for text, problem := range map[string]string{
		"":                   "expected exactly 5 fields",
		"every 0 minutes":    "the number must be from 1 to 10000",
		"every fortnight":    `write "every 5 minutes"`,
		"every day":          `write "every 5 minutes"`,
		"every day at 25:00": `"25:00" is no time of day`,
		"every day at 13pm":  `"13pm" is no time of day`,
		"every day at tea":   `"tea" is no time of day`,
		"* * * *":            "expected exactly 5 fields",
		"61 * * * *":         "above maximum",
	} {
		_, err := ParseSchedule(text, time.UTC)
		require.ErrorContains(t, err, problem, text)
		require.ErrorContains(t, err, `schedule "`+text+`"`)
	}
}

func TestSchedule_FollowsSummerTime(t *testing.T) {
	t.Parallel()
	amsterdam, err := time.LoadLocation("Europe/Amsterdam")
	require.NoError(t, err)
	schedule, err := ParseSchedule("every day at 9am", amsterdam)
	require.NoError(t, err)

	require.Equal(t, "2027-03-28T07:00:00Z", schedule.Next(at(t, "2027-03-27T08:00:00Z")).Format(time.RFC3339))
	require.Equal(t, "2027-10-31T08:00:00Z", schedule.Next(at(t, "2027-10-30T07:00:00Z")).Format(time.RFC3339))
}

// Private

func at(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.RFC3339, text)
	require.NoError(t, err)
	return parsed
}
