package failopen

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestLimit_CountsUpToTheFirstThatIsExceeded(t *testing.T) {
	t.Parallel()
	r := open(t, stacktest.Redis(t).URL())
	call := LimitCall{Generation: "generation", Counts: []LimitCount{
		{Key: "a", Previous: "a0", Over: "over:a", Limit: 10, Life: time.Minute},
		{Key: "b", Previous: "b0", Over: "over:b", Limit: 1, Life: time.Minute},
		{Key: "c", Previous: "c0", Over: "over:c", Limit: -1, Life: time.Minute},
	}}

	first, _ := r.Limit(t.Context(), "test", call)
	second, ok := r.Limit(t.Context(), "test", call)

	require.True(t, ok)
	require.Equal(t, []LimitCounted{{Count: 1}, {Count: 1}, {Count: 1}}, first.Counts)
	require.Equal(t, []LimitCounted{{Count: 2}, {Count: 2}}, second.Counts)
	require.Zero(t, second.Generation)
}

func TestLimit_EveryKeyHasAnEnd(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	call := LimitCall{
		Generation: "generation",
		Bans: []LimitBan{
			{Key: "ban:1", Strikes: "strikes:1", Strike: true, After: 2, Within: time.Minute, Lasts: time.Hour},
			{Key: "ban:2", Strikes: "strikes:2", Strike: true, After: 1, Within: time.Minute, Lasts: time.Hour},
		},
		Counts: []LimitCount{{Key: "count", Previous: "p", Over: "over", Limit: 0, Life: time.Minute}},
	}

	_, ok := r.Limit(t.Context(), "test", call)
	lifetimes, listed := r.Lifetimes(t.Context(), "test", "*")

	require.True(t, ok)
	require.True(t, listed)
	delete(lifetimes, "slipway:probe")
	require.Len(t, lifetimes, 5)
	require.EqualValues(t, 5, command(t, server, "EXISTS", "strikes:1", "strikes:2", "ban:2", "count", "over"))
	for name, left := range lifetimes {
		require.LessOrEqual(t, left, time.Hour, name)
		require.Positive(t, left, name)
	}
}

func TestLimit_BansAndWhatABanEnds(t *testing.T) {
	t.Parallel()
	r := open(t, stacktest.Redis(t).URL())
	count := []LimitCount{{Key: "count", Previous: "p", Over: "over", Limit: 10, Life: time.Minute}}
	ask := func(strike, blocks bool) LimitReply {
		reply, ok := r.Limit(t.Context(), "test", LimitCall{Generation: "g", Counts: count, Bans: []LimitBan{
			{Key: "ban", Strikes: "strikes", Strike: strike, After: 2, Within: time.Minute, Lasts: time.Hour, Blocks: blocks},
		}})
		require.True(t, ok)
		return reply
	}

	require.Equal(t, LimitReply{Bans: []LimitBanned{{}}, Counts: []LimitCounted{{Count: 1}}}, ask(false, true))
	require.Equal(t, LimitReply{Bans: []LimitBanned{{Strikes: 1}}}, ask(true, true))
	require.Equal(t, LimitReply{Bans: []LimitBanned{{Strikes: 2, Left: time.Hour}}, Counts: []LimitCounted{{Count: 2}}}, ask(true, false))
	banned := ask(false, false)
	require.Empty(t, banned.Counts)
	require.InDelta(t, time.Hour, banned.Bans[0].Left, float64(time.Minute))
	require.Zero(t, banned.Bans[0].Strikes)
}

func TestLimit_ARefusedRequestTakesNoNumberOfAnother(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	ask := func(refused bool) []LimitCounted {
		reply, ok := r.Limit(t.Context(), "test", LimitCall{Generation: "g", Counts: []LimitCount{
			{Key: "count", Previous: "p", Over: "over", Refused: refused, Limit: 2, Life: time.Minute}, {Key: "later", Previous: "p", Over: "o", Limit: 9, Life: time.Minute},
		}})
		require.True(t, ok)
		return reply.Counts
	}

	require.Equal(t, []LimitCounted{{Count: 1}, {Count: 1}}, ask(false))
	require.Equal(t, []LimitCounted{{Count: 1}}, ask(true))
	require.EqualValues(t, 0, command(t, server, "EXISTS", "over"))
	require.Equal(t, []LimitCounted{{Count: 2}, {Count: 2}}, ask(false))
	require.Equal(t, []LimitCounted{{Count: 2}}, ask(true))
	require.EqualValues(t, 1, command(t, server, "EXISTS", "over"))
}

func TestLimit_WeighsThePreviousWindow(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	command(t, server, "SET", "before", 10)
	call := LimitCall{Generation: "g", Counts: []LimitCount{
		{Key: "now", Previous: "before", Over: "over", Limit: 6, Weight: 0.5, Life: time.Minute}, {Key: "next", Previous: "p", Over: "o", Limit: 9, Life: time.Minute},
	}}

	passes, _ := r.Limit(t.Context(), "test", call)
	exceeded, _ := r.Limit(t.Context(), "test", call)

	require.Equal(t, []LimitCounted{{Count: 1, Previous: 10}, {Count: 1}}, passes.Counts)
	require.Equal(t, []LimitCounted{{Count: 2, Previous: 10}}, exceeded.Counts)
}

func TestLimit_AKeyOfTheWrongTypeIsDeletedOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	command(t, server, "LPUSH", "count", "not a number")
	call := LimitCall{Generation: "g", Counts: []LimitCount{{Key: "count", Previous: "p", Over: "o", Limit: 9, Life: time.Minute}}}

	_, known := r.Limit(t.Context(), "test", call)
	reply, again := r.Limit(t.Context(), "test", call)

	require.False(t, known)
	require.True(t, again)
	require.Equal(t, []LimitCounted{{Count: 1}}, reply.Counts)
}

func TestLimitReset_DeletesAndRaisesTheGeneration(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("limit:%d", i))
		command(t, server, "SET", keys[i], 1, "EX", 60)
	}
	generation := func() int64 {
		reply, ok := r.Limit(t.Context(), "test", LimitCall{Generation: "g"})
		require.True(t, ok)
		return reply.Generation
	}

	listed, _ := r.Lifetimes(t.Context(), "test", "limit:*")
	reset := r.LimitReset(t.Context(), "test", "g", keys)
	first := generation()
	require.True(t, r.LimitReset(t.Context(), "test", "g", nil))

	require.Len(t, listed, 2500)
	require.True(t, reset)
	left, _ := r.Lifetimes(t.Context(), "test", "limit:*")
	require.Empty(t, left)
	require.Positive(t, first)
	require.Greater(t, generation(), first)
}

func TestLimit_SaysNothingWithoutRedis(t *testing.T) {
	t.Parallel()
	r := open(t, "")

	_, ok := r.Limit(t.Context(), "test", LimitCall{Generation: "g"})
	_, listed := r.Lifetimes(t.Context(), "test", "*")

	require.False(t, ok)
	require.False(t, listed)
	require.False(t, r.LimitReset(t.Context(), "test", "g", []string{"a"}))
	require.False(t, r.Delete(t.Context(), "test", "a"))
}
