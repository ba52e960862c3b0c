package shop

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
	claims := openClaims(t, server.URL())

	require.Equal(t, claimUnknown, claims.claim(t.Context(), 7, "ada", time.Minute))
	require.True(t, claims.setUnits(t.Context(), 7, 1, 0, time.Minute))
	require.Equal(t, claimSoldOut, claims.claim(t.Context(), 7, "ada", time.Minute))
	require.Equal(t, claimUnknown, claims.claim(t.Context(), 8, "ada", time.Minute), "another sale")

	stacktest.RedisCommand(t, server, "FLUSHALL")
	require.Equal(t, claimUnknown, claims.claim(t.Context(), 7, "ada", time.Minute), "missing is not sold out")
	stacktest.RedisCommand(t, server, "HSET", saleKeys(7)[0], "left", "nonsense")
	require.Equal(t, claimUnknown, claims.claim(t.Context(), 7, "ada", time.Minute))
}

func TestClaim_LetsAsManyThroughAsThereAreUnits(t *testing.T) {
	t.Parallel()
	claims := openClaims(t, stacktest.Redis(t).URL())
	require.True(t, claims.setUnits(t.Context(), 7, 1, 50, time.Minute))

	var claimed, soldOut atomic.Int64
	var buyers errgroup.Group
	buyers.SetLimit(20) // the number of connections, so that no call waits for one
	for i := range 200 {
		buyers.Go(func() error {
			switch claims.claim(t.Context(), 7, fmt.Sprint(i), time.Minute) {
			case claimCounted:
				claimed.Add(1)
			case claimSoldOut:
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
	claims := openClaims(t, stacktest.Redis(t).URL())
	require.True(t, claims.setUnits(t.Context(), 7, 1, 2, time.Minute))

	for range 5 {
		require.Equal(t, claimCounted, claims.claim(t.Context(), 7, "ada", time.Minute))
	}
	require.Equal(t, claimCounted, claims.claim(t.Context(), 7, "grace", time.Minute))
	require.Equal(t, claimSoldOut, claims.claim(t.Context(), 7, "eve", time.Minute))
	require.Equal(t, claimCounted, claims.claim(t.Context(), 7, "ada", time.Minute), "a claim that has a unit is not refused")

	for range 3 {
		require.True(t, claims.unclaim(t.Context(), 7, "ada"))
	}
	require.True(t, claims.unclaim(t.Context(), 7, "nobody"))
	require.Equal(t, claimCounted, claims.claim(t.Context(), 7, "eve", time.Minute))
	require.Equal(t, claimSoldOut, claims.claim(t.Context(), 7, "ada", time.Minute), "one came back, not three")
}

func TestSetUnits_IgnoresAnOlderCount(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	claims := openClaims(t, server.URL())

	require.True(t, claims.setUnits(t.Context(), 7, 5, 0, time.Minute))
	require.True(t, claims.setUnits(t.Context(), 7, 4, 30, time.Minute))
	require.Equal(t, claimSoldOut, claims.claim(t.Context(), 7, "ada", time.Minute))

	require.True(t, claims.setUnits(t.Context(), 7, 5, 1, time.Minute))
	require.Equal(t, claimCounted, claims.claim(t.Context(), 7, "ada", time.Minute), "the same count again mends what drifted")
}

func TestSetUnits_ExpiresAfterItsLife(t *testing.T) {
	t.Parallel()
	claims := openClaims(t, stacktest.Redis(t).URL())
	require.True(t, claims.setUnits(t.Context(), 7, 5, 0, 50*time.Millisecond))

	stacktest.Eventually(t, func() bool {
		return claims.claim(t.Context(), 7, "ada", time.Minute) == claimUnknown
	}, "a sold out that is wrong heals by itself")
}

func TestClaim_AKeyOfTheWrongTypeIsReplaced(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	claims := openClaims(t, server.URL())
	for _, key := range saleKeys(7) {
		stacktest.RedisCommand(t, server, "SET", key, "not a hash")
	}

	require.Equal(t, claimUnknown, claims.claim(t.Context(), 7, "ada", time.Minute))
	require.True(t, claims.setUnits(t.Context(), 7, 1, 1, time.Minute))
	require.Equal(t, claimCounted, claims.claim(t.Context(), 7, "ada", time.Minute))
}

func TestClaim_IsUnknownWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	require.NoError(t, frozen.Freeze())

	for name, claims := range map[string]saleClaims{
		"disabled": openClaims(t, ""), "stopped": openClaims(t, stopped.URL()), "frozen": openClaims(t, frozen.URL()),
	} {
		require.Equal(t, claimUnknown, claims.claim(t.Context(), 7, "ada", time.Minute), name)
		require.False(t, claims.setUnits(t.Context(), 7, 1, 1, time.Minute), name)
		require.False(t, claims.unclaim(t.Context(), 7, "ada"), name)
	}
}

func TestClaim_AfterATimeoutIsCountedOnceAndCanBeTakenBack(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	claims := openClaims(t, server.URL())
	require.True(t, claims.setUnits(t.Context(), 7, 1, 1, time.Minute))
	require.NoError(t, server.Freeze())
	require.Equal(t, claimUnknown, claims.claim(t.Context(), 7, "ada", time.Minute))
	require.NoError(t, server.Thaw())

	// The frozen Redis may or may not have run the claim.
	stacktest.Eventually(t, func() bool {
		return claims.claim(t.Context(), 7, "ada", time.Minute) == claimCounted
	})
	require.Equal(t, claimSoldOut, claims.claim(t.Context(), 7, "eve", time.Minute))

	require.True(t, claims.unclaim(t.Context(), 7, "ada"))
	require.Equal(t, claimCounted, claims.claim(t.Context(), 7, "eve", time.Minute))
}

// Private

func openClaims(t *testing.T, address string) saleClaims {
	t.Helper()
	return saleClaims{openRedis(t, address)}
}
