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
