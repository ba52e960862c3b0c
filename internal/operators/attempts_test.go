package operators

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAttempts_RefusesAClientForAMinuteAfterTenWrongPasswords(t *testing.T) {
	t.Parallel()
	a, now := newAttempts(), time.Now()

	for range mostAttempts {
		require.Zero(t, a.refusedFor("one", now))
		a.failed("one", now)
	}

	require.Equal(t, attemptWindow, a.refusedFor("one", now))
	require.Zero(t, a.refusedFor("two", now))
	require.Zero(t, a.refusedFor("one", now.Add(attemptWindow)))
}

func TestAttempts_ARightPasswordForgetsTheWrongOnes(t *testing.T) {
	t.Parallel()
	a, now := newAttempts(), time.Now()

	for range mostAttempts - 1 {
		a.failed("one", now)
	}
	a.succeeded("one")
	a.failed("one", now)

	require.Zero(t, a.refusedFor("one", now))
}

func TestAttempts_ItsMemoryIsBounded(t *testing.T) {
	t.Parallel()
	a, now := newAttempts(), time.Now()

	for i := range mostAttempters + 100 {
		a.failed(fmt.Sprint(i), now)
	}

	require.Len(t, a.clients, mostAttempters)
}
