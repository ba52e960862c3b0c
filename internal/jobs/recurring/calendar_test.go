package recurring

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSchedule_RunsOnceADayThroughBothNights(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		text, zone, from string
		times            []string
	}{
		"autumn": {"every day at 2:30am", "Europe/Vienna", "2026-10-23T12:00:00Z", []string{
			"2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z",
		}},
		"autumn, as cron": {"30 2 * * *", "Europe/Vienna", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"autumn, every quarter of the hour": {"*/15 2 * * *", "Europe/Vienna", "2026-10-25T00:15:00Z", []string{
			"2026-10-25T00:30:00Z", "2026-10-25T00:45:00Z", "2026-10-26T01:00:00Z",
		}},
		"autumn, every second hour": {"0 */2 * * *", "Europe/Vienna", "2026-10-24T22:00:00Z", []string{
			"2026-10-25T00:00:00Z", "2026-10-25T03:00:00Z", "2026-10-25T05:00:00Z",
		}},
		"spring": {"every day at 2:30am", "Europe/Vienna", "2027-03-26T12:00:00Z", []string{
			"2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z",
		}},
		"spring, once a week": {"every sunday at 2:30am", "Europe/Vienna", "2027-03-22T00:00:00Z", []string{
			"2027-03-28T01:00:00Z", "2027-04-04T00:30:00Z",
		}},
		"spring, several times in the gap": {"every day at 2:10am, 2:50am and 3:30am", "Europe/Vienna", "2027-03-28T00:00:00Z", []string{
			"2027-03-28T01:00:00Z", "2027-03-28T01:30:00Z", "2027-03-29T00:10:00Z",
		}},
		"New York, autumn": {"every day at 1:30am", "America/New_York", "2026-10-31T12:00:00Z", []string{
			"2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z",
		}},
		"New York, spring": {"every day at 2:30am", "America/New_York", "2027-03-13T12:00:00Z", []string{
			"2027-03-14T07:00:00Z", "2027-03-15T06:30:00Z",
		}},
		"half an hour, autumn": {"every day at 1:45am", "Australia/Lord_Howe", "2027-04-02T15:00:00Z", []string{
			"2027-04-03T14:45:00Z", "2027-04-04T15:15:00Z",
		}},
		"half an hour, spring": {"every day at 2:15am", "Australia/Lord_Howe", "2026-10-02T16:00:00Z", []string{
			"2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z",
		}},
		"midnight is skipped": {"every day at midnight", "America/Santiago", "2026-09-04T12:00:00Z", []string{
			"2026-09-05T04:00:00Z", "2026-09-06T04:00:00Z", "2026-09-07T03:00:00Z",
		}},
		"midnight is skipped in Beirut": {"every day at midnight", "Asia/Beirut", "2026-03-28T00:00:00Z", []string{
			"2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z",
		}},
		"the hour before midnight is repeated": {"every day at 23:30", "America/Santiago", "2026-04-03T12:00:00Z", []string{
			"2026-04-04T02:30:00Z", "2026-04-05T02:30:00Z", "2026-04-06T03:30:00Z",
		}},
		"a day is skipped": {"every day at 9am", "Pacific/Apia", "2011-12-29T18:00:00Z", []string{
			"2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z", "2011-12-31T19:00:00Z",
		}},
	} {
		schedule, err := ParseSchedule(row.text, zone(t, row.zone))
		require.NoError(t, err)

		require.Equal(t, row.times, upcoming(schedule, row.from, len(row.times)), name)
	}
}

// A worker may ask at any minute, also in the hour that clocks repeat.
func TestSchedule_FindsTheNextRunAtAnyMinuteOfTheNight(t *testing.T) {
	t.Parallel()
	for name, night := range map[string]string{
		"Europe/Vienna": "2026-10-24T22:00:00Z", "Australia/Lord_Howe": "2027-04-03T12:00:00Z", "America/Santiago": "2026-04-05T01:00:00Z",
	} {
		zone, begin := zone(t, name), at(t, night)
		shown := watch(zone, begin)
		for text, quarters := range map[string][]int64{"every day at 2:30am": {10}, "*/30 0-2,23 * * *": {0, 2, 4, 6, 8, 10, 92, 94}} {
			schedule, err := ParseSchedule(text, zone)
			require.NoError(t, err)
			runs := observed(begin, shown, quarters)

			for now := begin; now.Before(begin.Add(8 * time.Hour)); now = now.Add(time.Minute) {
				later := slices.IndexFunc(runs, func(run time.Time) bool { return run.After(now) })
				require.Equal(t, runs[later].Format(time.RFC3339), schedule.Next(now).Format(time.RFC3339), "%s %s at %s", name, text, now)
			}
		}
	}
}

// Every hour has a run, also the hour that clocks repeat.
func TestSchedule_RunsEveryHourThroughBothNights(t *testing.T) {
	t.Parallel()
	for _, night := range []string{"2026-10-24T22:12:00Z", "2027-03-27T22:12:00Z"} {
		for _, text := range []string{"every hour at minute 12", "12 * * * *", "12 0-23 * * *", "every hour"} {
			schedule, err := ParseSchedule(text, zone(t, "Europe/Vienna"))
			require.NoError(t, err)

			next := at(t, night)
			for range 5 {
				run := schedule.Next(next)
				require.LessOrEqual(t, run.Sub(next), time.Hour, text)
				require.Equal(t, next.Add(time.Hour).Truncate(time.Hour), run.Truncate(time.Hour), text)
				next = run
			}
		}
	}
}

// Next is compared with the notes of an observer who looks at the clock of a zone
// once a quarter of an hour for a year: a time of day is due when the clock shows it, or
// something later, for the first time.
func TestSchedule_AgreesWithTheClocksOfTheWorld(t *testing.T) {
	t.Parallel()
	for name, year := range map[string]int{
		"UTC": 2026, "Europe/Vienna": 2026, "America/New_York": 2026, "Australia/Lord_Howe": 2026, "America/Santiago": 2026,
		"Asia/Beirut": 2026, "Africa/Cairo": 2026, "America/Havana": 2026, "Atlantic/Azores": 2026, "Africa/Casablanca": 2026,
		"Pacific/Apia": 2011, "Asia/Pyongyang": 2018, "America/Caracas": 2016, "Antarctica/Troll": 2026, "Asia/Kathmandu": 1986,
	} {
		zone, begin := zone(t, name), time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
		shown := watch(zone, begin)
		for text, quarters := range map[string][]int64{
			"every day at midnight": {0}, "30 0 * * *": {2}, "every day at 1:45am": {7}, "every day at 2:15am": {9},
			"every day at 2:30am and 3am": {10, 12}, "every day at 23:30": {94}, "*/30 2-3 * * *": {8, 10, 12, 14},
		} {
			schedule, err := ParseSchedule(text, zone)
			require.NoError(t, err)

			next := begin
			for _, run := range observed(begin, shown, quarters) {
				next = schedule.Next(next)
				require.True(t, run.Equal(next), "%s %s: %s is due, not %s", name, text, run, next)
			}
		}
	}
}

// Private

const quarter = 15 * time.Minute

// watch returns what the clock of a zone shows in each quarter of an hour of the year
// after a time, as the number of quarters since 1970.
func watch(zone *time.Location, begin time.Time) (shown []int64) {
	for at := begin; at.Before(begin.AddDate(1, 0, 0)); at = at.Add(quarter) {
		_, offset := at.In(zone).Zone()
		shown = append(shown, (at.Unix()+int64(offset))/int64(quarter.Seconds()))
	}
	return shown
}

// observed returns when some quarters of the day are due.
func observed(begin time.Time, shown, quarters []int64) (runs []time.Time) {
	const day = 24 * 4
	latest := shown[0]
	for i, now := range shown {
		for at := begin.Add(time.Duration(i) * quarter); latest < now; {
			latest++
			if slices.Contains(quarters, latest%day) && (len(runs) == 0 || !runs[len(runs)-1].Equal(at)) {
				runs = append(runs, at)
			}
		}
	}
	return runs
}
