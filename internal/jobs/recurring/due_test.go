package recurring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDue_ReturnsMissedRunsAsDeclared(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-23T12:00:30Z")
	hourly, err := ParseSchedule("every hour", time.UTC)
	require.NoError(t, err)
	for name, row := range map[string]struct {
		catchUp CatchUp
		last    string
		due     []string
		handled string
	}{
		"nothing":         {CatchUpLast, "2026-11-23T12:00:00Z", nil, "2026-11-23T12:00:00Z"},
		"one":             {CatchUpLast, "2026-11-23T11:00:00Z", []string{"12:00:00"}, "2026-11-23T12:00:00Z"},
		"only the newest": {CatchUpLast, "2026-11-23T08:00:00Z", []string{"12:00:00"}, "2026-11-23T12:00:00Z"},
		"all": {
			CatchUpAll, "2026-11-23T08:00:00Z",
			[]string{"09:00:00", "10:00:00", "11:00:00", "12:00:00"}, "2026-11-23T12:00:00Z",
		},
		"none but on time": {CatchUpNone, "2026-11-23T08:00:00Z", []string{"12:00:00"}, "2026-11-23T12:00:00Z"},
	} {
		entry := Entry{Schedule: hourly, CatchUp: row.catchUp}
		due, handled := entry.due(at(t, row.last), now)
		var times []string
		for _, run := range due {
			times = append(times, run.Format(time.TimeOnly))
		}
		require.Equal(t, row.due, times, name)
		require.Equal(t, row.handled, handled.Format(time.RFC3339), name)
	}

	late := at(t, "2026-11-23T12:30:00Z")
	due, handled := Entry{Schedule: hourly, CatchUp: CatchUpNone}.due(at(t, "2026-11-23T08:00:00Z"), late)
	require.Empty(t, due)
	require.Equal(t, "2026-11-23T12:00:00Z", handled.Format(time.RFC3339))
	due, _ = Entry{Schedule: hourly, CatchUp: CatchUpAll}.due(at(t, "2020-01-01T00:00:00Z"), late)
	require.Len(t, due, 7*24)
}

// A worker that starts after 45 seconds does not run "every second" 45 times.
func TestDue_CatchesUpOnceAfterARestart(t *testing.T) {
	t.Parallel()
	now := at(t, "2026-11-23T12:00:45Z")
	for text, row := range map[string]struct {
		newest   string
		punctual int
	}{
		"every second": {"12:00:45", 3}, "* * * * * *": {"12:00:45", 3}, "every 2 seconds": {"12:00:44", 1},
	} {
		for _, catchUp := range []CatchUp{CatchUpLast, CatchUpNone} {
			schedule, err := ParseSchedule(text, time.UTC)
			require.NoError(t, err)
			entry := Entry{Schedule: schedule, CatchUp: catchUp}

			due, _ := entry.due(at(t, "2026-11-23T12:00:00Z"), now)
			require.Len(t, due, 1, text)
			require.Equal(t, row.newest, due[0].Format(time.TimeOnly), text)

			due, _ = entry.due(at(t, "2026-11-23T12:00:42Z"), now)
			require.Len(t, due, row.punctual, text)
		}
	}
}

// The checks of two workers through the night in which clocks repeat an hour, and
// after a restart in it.
func TestDue_RepeatsNoTimeOfDayInTheNight(t *testing.T) {
	t.Parallel()
	schedule, err := ParseSchedule("every day at 2:30am", zone(t, "Europe/Vienna"))
	require.NoError(t, err)
	nights := map[string]string{"2026-10-24T22:00:00Z": "2026-10-25T00:30:00Z", "2027-03-27T22:00:00Z": "2027-03-28T01:00:00Z"}
	for _, catchUp := range []CatchUp{CatchUpNone, CatchUpLast, CatchUpAll} {
		for night, run := range nights {
			entry, handled := Entry{Schedule: schedule, CatchUp: catchUp}, at(t, night).Add(-20*time.Hour)
			var runs []string
			for now := at(t, night); now.Before(at(t, night).Add(6 * time.Hour)); now = now.Add(time.Second) {
				var due []time.Time
				due, handled = entry.due(handled, now)
				for _, run := range due {
					runs = append(runs, run.Format(time.RFC3339))
				}
			}
			require.Equal(t, []string{run}, runs, catchUp)

			due, _ := entry.due(at(t, run), at(t, run).Add(61*time.Minute))
			require.Empty(t, due, "after a restart in the repeated hour")
		}
	}
}
