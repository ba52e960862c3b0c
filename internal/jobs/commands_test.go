package jobs

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestStack_ShowsTheGoroutinesOfOneRun(t *testing.T) {
	t.Parallel()
	release, entered := make(chan struct{}), make(chan struct{}, 3)
	defer close(release)
	for _, id := range []string{"9000000012", "90000000123"} {
		run := Run{Backend: PG, ID: id, Kind: "greet"}
		go func() {
			_ = labelled(t.Context(), run, func(context.Context) error {
				go waitInside(release, entered) // of the handler
				waitInside(release, entered)
				return nil
			})
		}()
	}
	run := Run{Backend: Redis, Queue: "low", ID: `odd "task"`, Kind: "wave"}
	go func() {
		_ = labelled(t.Context(), run, func(context.Context) error { waitInside(release, entered); return nil })
	}()
	for range 5 {
		receive(t, entered)
	}

	stacktest.Eventually(t, func() bool { return strings.Count(stackOf("pg:9000000012"), "waitInside") == 2 })
	require.Contains(t, stackOf("pg:9000000012"), "goroutines: 1\n")
	require.Contains(t, stackOf("pg:9000000012"), "commands_test.go")
	require.Equal(t, 1, strings.Count(stackOf(`redis:low:odd "task"`), "waitInside"))
	require.NotContains(t, stackOf("pg:9000000012"), "greet")
	require.Empty(t, stackOf("pg:900000001"))
}

func BenchmarkLabelled(b *testing.B) {
	run := Run{Backend: Redis, Queue: "default", ID: "01980a3b-7f7b-7d4e-a6b2-0b8d6f2f6a11", Kind: "send_confirmation"}
	work := func(context.Context) error { return nil }
	for b.Loop() {
		_ = labelled(b.Context(), run, work)
	}
}

// Private

func waitInside(release <-chan struct{}, entered chan<- struct{}) {
	entered <- struct{}{}
	<-release
}
