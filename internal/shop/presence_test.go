package shop

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestVisit_CountsEachVisitorOnce(t *testing.T) {
	t.Parallel()
	looking := presence{openRedis(t, stacktest.Redis(t).URL())}

	for range 3 {
		for i := range 20 {
			count, ok := looking.visit(t.Context(), 1, fmt.Sprint("visitor ", i))
			require.True(t, ok)
			require.LessOrEqual(t, count, 21)
		}
	}
	_, ok := looking.visit(t.Context(), 2, "visitor 1")
	require.True(t, ok)

	mug, _ := looking.count(t.Context(), 1)
	lamp, _ := looking.count(t.Context(), 2)
	nowhere, ok := looking.count(t.Context(), 3)
	require.InDelta(t, 20, mug, 1)
	require.Equal(t, 1, lamp)
	require.Zero(t, nowhere)
	require.True(t, ok)
}

func TestPresence_StoresNoVisitorForLong(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	looking := presence{openRedis(t, server.URL())}
	_, ok := looking.visit(t.Context(), 1, "ada")
	require.True(t, ok)

	keys := stacktest.RedisCommand(t, server, "KEYS", "presence:product:1:*").([]any)

	require.Len(t, keys, 1)
	life := stacktest.RedisCommand(t, server, "PTTL", keys[0]).(int64)
	require.Positive(t, life)
	require.LessOrEqual(t, life, (90 * time.Second).Milliseconds())
	require.NotContains(t, stacktest.RedisCommand(t, server, "GET", keys[0]), "ada")
}

func TestPresenceKeys_AVisitorCountsForSixtyToNinetySeconds(t *testing.T) {
	t.Parallel()
	visited := time.Unix(1_800_000_029, 0) // the last second of a slot
	key := presenceKeys(1, visited)[0]

	require.Contains(t, presenceKeys(1, visited.Add(60*time.Second)), key)
	require.NotContains(t, presenceKeys(1, visited.Add(61*time.Second)), key)
	early := visited.Add(-29 * time.Second)
	require.Equal(t, key, presenceKeys(1, early)[0])
	require.Contains(t, presenceKeys(1, early.Add(89*time.Second)), key)
	require.NotContains(t, presenceKeys(1, early.Add(90*time.Second)), key)
}

func TestVisit_WithoutRedisThereIsNoCount(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	looking := presence{openRedis(t, server.URL())}
	require.NoError(t, server.Freeze())

	for range 20 {
		count, ok := looking.visit(t.Context(), 1, "ada")
		require.False(t, ok)
		require.Zero(t, count)
		count, ok = looking.count(t.Context(), 1)
		require.False(t, ok)
		require.Zero(t, count)
	}
}

func TestVisit_RestartsWhenAKeyIsNoCounter(t *testing.T) {
	t.Parallel()
	for _, spoil := range [][]any{{"LPUSH"}, {"SET"}} {
		server := stacktest.Redis(t)
		looking := presence{openRedis(t, server.URL())}
		now := time.Now()
		for _, at := range []time.Time{now, now.Add(presenceSlot)} {
			stacktest.RedisCommand(t, server, append(spoil, presenceKeys(1, at)[0], "no counter")...)
		}

		_, first := looking.visit(t.Context(), 1, "ada")

		require.False(t, first)
		stacktest.Eventually(t, func() bool {
			count, ok := looking.visit(t.Context(), 1, "ada")
			return ok && count == 1
		})
	}
}
