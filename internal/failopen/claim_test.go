package failopen

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"slipway/internal/devstack/stacktest"
)

func TestClaim_IsUnknownUntilTheUnitsAreSet(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())

	require.Equal(t, Unknown, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))
	require.True(t, r.SetUnits(t.Context(), "test", "7", 1, 0, time.Minute))
	require.Equal(t, SoldOut, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))
	require.Equal(t, Unknown, r.Claim(t.Context(), "test", "8", "ada", 1, time.Minute), "another sale")

	command(t, server, "FLUSHALL")
	require.Equal(t, Unknown, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute), "missing is not sold out")
	command(t, server, "HSET", claimKeys("7")[0], "left", "nonsense")
	require.Equal(t, Unknown, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))
}

func TestClaim_LetsAsManyThroughAsThereAreUnits(t *testing.T) {
	t.Parallel()
	r := open(t, stacktest.Redis(t).URL())
	require.True(t, r.SetUnits(t.Context(), "test", "7", 1, 50, time.Minute))

	var claimed, soldOut atomic.Int64
	var buyers errgroup.Group
	buyers.SetLimit(20) // as many as there are connections: nobody waits for one in vain
	for i := range 200 {
		buyers.Go(func() error {
			switch r.Claim(t.Context(), "test", "7", fmt.Sprint(i), 1, time.Minute) {
			case Claimed:
				claimed.Add(1)
			case SoldOut:
				soldOut.Add(1)
			}
			return nil
		})
	}
	require.NoError(t, buyers.Wait())

	require.EqualValues(t, 50, claimed.Load())
	require.EqualValues(t, 150, soldOut.Load())
}

func TestClaim_CountsAnIDOnce(t *testing.T) {
	t.Parallel()
	r := open(t, stacktest.Redis(t).URL())
	require.True(t, r.SetUnits(t.Context(), "test", "7", 1, 2, time.Minute))

	for range 5 {
		require.Equal(t, Claimed, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))
	}
	require.Equal(t, Claimed, r.Claim(t.Context(), "test", "7", "grace", 1, time.Minute))
	require.Equal(t, SoldOut, r.Claim(t.Context(), "test", "7", "eve", 1, time.Minute))
	require.Equal(t, Claimed, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute), "who has one is not turned away")

	for range 3 {
		require.True(t, r.Unclaim(t.Context(), "test", "7", "ada", 1))
	}
	require.True(t, r.Unclaim(t.Context(), "test", "7", "nobody", 1))
	require.Equal(t, Claimed, r.Claim(t.Context(), "test", "7", "eve", 1, time.Minute))
	require.Equal(t, SoldOut, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute), "one came back, not three")
}

func TestSetUnits_IgnoresAnOlderCount(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())

	require.True(t, r.SetUnits(t.Context(), "test", "7", 5, 0, time.Minute))
	require.True(t, r.SetUnits(t.Context(), "test", "7", 4, 30, time.Minute))
	require.Equal(t, SoldOut, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))

	require.True(t, r.SetUnits(t.Context(), "test", "7", 5, 1, time.Minute))
	require.Equal(t, Claimed, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute), "the same count again mends what drifted")
}

func TestSetUnits_IsForgottenAfterItsLifetime(t *testing.T) {
	t.Parallel()
	r := open(t, stacktest.Redis(t).URL())
	require.True(t, r.SetUnits(t.Context(), "test", "7", 5, 0, 50*time.Millisecond))

	require.Eventually(t, func() bool {
		return r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute) == Unknown
	}, 10*time.Second, 5*time.Millisecond, "a sold out that is wrong heals by itself")
}

func TestClaim_AKeyOfTheWrongTypeBeginsAnew(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	for _, key := range claimKeys("7") {
		command(t, server, "SET", key, "not a hash")
	}

	require.Equal(t, Unknown, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))
	require.True(t, r.SetUnits(t.Context(), "test", "7", 1, 1, time.Minute))
	require.Equal(t, Claimed, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))
}

func TestClaim_IsUnknownWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	require.NoError(t, frozen.Freeze())

	for name, r := range map[string]*Redis{
		"disabled": open(t, ""), "stopped": open(t, stopped.URL()), "frozen": open(t, frozen.URL()),
	} {
		require.Equal(t, Unknown, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute), name)
		require.False(t, r.SetUnits(t.Context(), "test", "7", 1, 1, time.Minute), name)
		require.False(t, r.Unclaim(t.Context(), "test", "7", "ada", 1), name)
	}
}

func TestClaim_ThatRanAfterItsTimeoutIsCountedOnceAndCanBeGivenBack(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	require.True(t, r.SetUnits(t.Context(), "test", "7", 1, 1, time.Minute))
	require.NoError(t, server.Freeze())
	require.Equal(t, Unknown, r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute))
	require.NoError(t, server.Thaw())

	// Whether the frozen Redis ran the claim is nobody's to know.
	require.Eventually(t, func() bool {
		return r.Claim(t.Context(), "test", "7", "ada", 1, time.Minute) == Claimed
	}, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, SoldOut, r.Claim(t.Context(), "test", "7", "eve", 1, time.Minute))

	require.True(t, r.Unclaim(t.Context(), "test", "7", "ada", 1))
	require.Equal(t, Claimed, r.Claim(t.Context(), "test", "7", "eve", 1, time.Minute))
}
