package telemetry

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBeginOutage_LogsTheStartAndTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)

		outage := reporter.BeginOutage(Redis, "queue", "refused", time.Now())
		time.Sleep(1500 * time.Millisecond)
		outage.End(1200, 3)

		require.Equal(t, "level=WARN msg=\"Backend is unavailable, calls are refused\" backend=redis name=queue reason=refused\n"+
			"level=INFO msg=\"Backend is available again\" backend=redis name=queue away=1.5s refused=1200 failed=3\n", log.Take())
	})
}

func TestBeginOutage_EndLogsTheSuppressedFailuresFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)
		outage := reporter.BeginOutage(Redis, "shared", "refused", time.Now())
		for range 5 {
			reporter.Report(Redis, "Hub.listen", errors.New("connection refused"))
			reporter.Report(PG, "web.handleError", errors.New("connection refused"))
		}
		time.Sleep(time.Second)
		log.Take()

		outage.End(0, 0)

		require.Equal(t, refusedLine+" suppressed=4 within=1s\n"+
			"level=INFO msg=\"Backend is available again\" backend=redis name=shared away=1s refused=0 failed=0\n", log.Take())
	})
}

func TestBeginOutage_FrequentShortOutagesDoNotFloodTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reporter, log := newReporter(t)

		for range 20 {
			outage := reporter.BeginOutage(Redis, "shared", "refused", time.Now())
			for range 10 {
				reporter.Report(Redis, "Hub.listen", errors.New("connection refused"))
			}
			time.Sleep(3 * time.Second)
			outage.End(0, 0)
		}
		reporter.Close()

		written := log.Take()
		require.Equal(t, 20, strings.Count(written, "Backend is unavailable"))
		require.Equal(t, 20, strings.Count(written, "Backend is available again"))
		require.LessOrEqual(t, strings.Count(written, "Backend call failed"), 8)
		require.Equal(t, 200, countFailures(t, written))
	})
}
