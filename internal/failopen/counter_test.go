package failopen

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestVisit_CountsEachVisitorOnce(t *testing.T) {
	t.Parallel()
	r := open(t, stacktest.Redis(t).URL())

	for range 3 {
		for i := range 20 {
			count, ok := r.Visit(t.Context(), "test", "mug", fmt.Sprint("visitor ", i))
			require.True(t, ok)
			require.LessOrEqual(t, count, 21)
		}
	}
	_, ok := r.Visit(t.Context(), "test", "lamp", "visitor 1")
	require.True(t, ok)

	mug, _ := r.Visitors(t.Context(), "test", "mug")
	lamp, _ := r.Visitors(t.Context(), "test", "lamp")
	nowhere, ok := r.Visitors(t.Context(), "test", "nowhere")
	require.InDelta(t, 20, mug, 1)
	require.Equal(t, 1, lamp)
	require.Zero(t, nowhere)
	require.True(t, ok)
}

func TestVisitors_KeepsNobodyForLong(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	_, ok := r.Visit(t.Context(), "test", "mug", "ada")
	require.True(t, ok)

	keys := command(t, server, "KEYS", "slipway:presence:mug:*").([]any)

	require.Len(t, keys, 1)
	life := command(t, server, "PTTL", keys[0]).(int64)
	require.Positive(t, life)
	require.LessOrEqual(t, life, (90 * time.Second).Milliseconds())
	require.NotContains(t, command(t, server, "GET", keys[0]), "ada")
}

func TestPresenceKeys_AVisitorCountsForSixtyToNinetySeconds(t *testing.T) {
	t.Parallel()
	visited := time.Unix(1_800_000_029, 0) // the last second of a slot
	key := presenceKeys("mug", visited)[0]

	require.Contains(t, presenceKeys("mug", visited.Add(60*time.Second)), key)
	require.NotContains(t, presenceKeys("mug", visited.Add(61*time.Second)), key)
	early := visited.Add(-29 * time.Second)
	require.Equal(t, key, presenceKeys("mug", early)[0])
	require.Contains(t, presenceKeys("mug", early.Add(89*time.Second)), key)
	require.NotContains(t, presenceKeys("mug", early.Add(90*time.Second)), key)
}

func TestVisit_WithoutRedisThereIsNoCount(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	require.NoError(t, server.Freeze())

	for range 20 {
		count, ok := r.Visit(t.Context(), "test", "mug", "ada")
		require.False(t, ok)
		require.Zero(t, count)
		count, ok = r.Visitors(t.Context(), "test", "mug")
		require.False(t, ok)
		require.Zero(t, count)
	}
}

func TestVisit_BeginsAnewWhereAKeyIsNoCounter(t *testing.T) {
	t.Parallel()
	for _, spoil := range [][]any{{"LPUSH"}, {"SET"}} {
		server := stacktest.Redis(t)
		r := open(t, server.URL())
		now := time.Now()
		for _, at := range []time.Time{now, now.Add(presenceSlot)} {
			command(t, server, append(spoil, presenceKeys("mug", at)[0], "no counter")...)
		}

		_, first := r.Visit(t.Context(), "test", "mug", "ada")

		require.False(t, first)
		require.Eventually(t, func() bool {
			count, ok := r.Visit(t.Context(), "test", "mug", "ada")
			return ok && count == 1
		}, 10*time.Second, 10*time.Millisecond)
	}
}
