package jobs

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAwaitIdle_WaitsWhileWorkRuns(t *testing.T) {
	t.Parallel()
	var checks atomic.Int64
	started := time.Now()

	require.True(t, awaitIdle(t.Context(), func() int {
		if checks.Add(1) <= 3 {
			return 1
		}
		return 0
	}, 200*time.Millisecond))

	require.Greater(t, time.Since(started), 300*time.Millisecond)
}

func TestAwaitIdle_ReturnsAtTheEndOfItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()

	require.False(t, awaitIdle(ctx, func() int { return 1 }, 60*time.Millisecond))
}
