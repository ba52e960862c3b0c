package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestLoopLog_SaysTheSameOnceAMinuteAndWhenItIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		loop, log := newLoopLog()
		loop.Worked(t.Context())
		require.Empty(t, log.Take())

		loop.Failed(t.Context(), errors.New("connection refused"), "round", 1)
		require.Equal(t, "level=WARN msg=\"Round failed\" error=\"connection refused\" round=1\n", log.Take())

		for range 59 {
			time.Sleep(time.Second)
			loop.Failed(t.Context(), errors.New("connection refused"))
		}
		require.Empty(t, log.Take())
		time.Sleep(time.Second)
		loop.Failed(t.Context(), errors.New("connection refused"))
		require.Equal(t, "level=WARN msg=\"Round failed\" error=\"connection refused\" again=59 since=2000-01-01T00:00:00Z\n", log.Take())

		loop.Worked(t.Context())
		loop.Worked(t.Context())
		require.Equal(t, "level=INFO msg=\"Rounds work again\" failures=61 after=1m0s\n", log.Take())
	})
}

func TestLoopLog_SaysAnotherFailureAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		loop, log := newLoopLog()

		for range 10 {
			loop.Failed(t.Context(), errors.New("connection refused"))
			loop.Failed(t.Context(), fmt.Errorf("read: %w", errors.New("LOADING")))
		}

		require.Equal(t, 2, strings.Count(log.Take(), "\n"))
	})
}

func TestLoopLog_IsQuietAboutALoopThatFailsNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		loop, log := newLoopLog()

		for range 55 {
			loop.Failed(t.Context(), errors.New("connection refused"))
			loop.Worked(t.Context())
			time.Sleep(time.Second)
		}

		require.Equal(t, 2, strings.Count(log.Take(), "\n"), "one failure and its end")
	})
}

// Private

func newLoopLog() (*LoopLog, *stacktest.Journal) {
	log := &stacktest.Journal{}
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	handler := slog.NewTextHandler(log, &slog.HandlerOptions{ReplaceAttr: withoutTime})
	return NewLoopLog(slog.New(handler), "Round failed", "Rounds work again"), log
}
