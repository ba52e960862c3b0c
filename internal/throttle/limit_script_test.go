package throttle

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestLimitScript_CountsUpToTheFirstThatIsExceeded(t *testing.T) {
	t.Parallel()
	r, _ := open(t, stacktest.Redis(t))
	call := limitCall{counts: []countCheck{
		{key: "a", previous: "a0", over: "over:a", limit: 10, life: time.Minute},
		{key: "b", previous: "b0", over: "over:b", limit: 1, life: time.Minute},
		{key: "c", previous: "c0", over: "over:c", limit: -1, life: time.Minute},
	}}

	first, _ := call.run(t.Context(), r)
	second, ok := call.run(t.Context(), r)

	require.True(t, ok)
	require.Equal(t, []countReply{{count: 1}, {count: 1}, {count: 1}}, first.counts)
	require.Equal(t, []countReply{{count: 2}, {count: 2}}, second.counts)
	require.Zero(t, second.generation)
}

func TestLimitScript_EveryKeyExpires(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r, _ := open(t, server)
	call := limitCall{
		bans: []banCheck{
			{key: "ban:1", strikes: "strikes:1", strike: true, after: 2, within: time.Minute, lasts: time.Hour},
			{key: "ban:2", strikes: "strikes:2", strike: true, after: 1, within: time.Minute, lasts: time.Hour},
		},
		counts: []countCheck{{key: "count", previous: "p", over: "over", limit: 0, life: time.Minute}},
	}

	_, ok := call.run(t.Context(), r)
	lifetimes, listed := r.Lifetimes(t.Context(), "test", "*")

	require.True(t, ok)
	require.True(t, listed)
	delete(lifetimes, "probe")
	require.Len(t, lifetimes, 5)
	require.EqualValues(t, 5, stacktest.RedisCommand(t, server, "EXISTS", "strikes:1", "strikes:2", "ban:2", "count", "over"))
	for name, left := range lifetimes {
		require.LessOrEqual(t, left, time.Hour, name)
		require.Positive(t, left, name)
	}
}

func TestLimitScript_ABanEndsTheCall(t *testing.T) {
	t.Parallel()
	r, _ := open(t, stacktest.Redis(t))
	count := []countCheck{{key: "count", previous: "p", over: "over", limit: 10, life: time.Minute}}
	ask := func(strike, blocks bool) limitReply {
		reply, ok := limitCall{counts: count, bans: []banCheck{
			{key: "ban", strikes: "strikes", strike: strike, after: 2, within: time.Minute, lasts: time.Hour, blocks: blocks},
		}}.run(t.Context(), r)
		require.True(t, ok)
		return reply
	}

	require.Equal(t, limitReply{bans: []banReply{{}}, counts: []countReply{{count: 1}}}, ask(false, true))
	require.Equal(t, limitReply{bans: []banReply{{strikes: 1}}}, ask(true, true))
	require.Equal(t, limitReply{bans: []banReply{{strikes: 2, left: time.Hour}}, counts: []countReply{{count: 2}}}, ask(true, false))
	banned := ask(false, false)
	require.Empty(t, banned.counts)
	require.InDelta(t, time.Hour, banned.bans[0].left, float64(time.Minute))
	require.Zero(t, banned.bans[0].strikes)
}

func TestLimitScript_ABanDoesNotGrowWithTheClockOfRedis(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]time.Duration{"by a day": 24*time.Hour + 30*time.Minute, "by a quarter of an hour": 45 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Redis(t)
			r, _ := open(t, server)
			began := time.Now()
			ask := func(passed time.Duration, strike bool) banReply {
				reply, ok := limitCall{now: began.Add(passed), bans: []banCheck{
					{key: "ban", strikes: "strikes", strike: strike, after: 1, within: time.Minute, lasts: 30 * time.Minute},
				}}.run(t.Context(), r)
				require.True(t, ok)
				return reply.bans[0]
			}
			require.Equal(t, 30*time.Minute, ask(0, true).left)

			// As if the clock of Redis had been ahead when the ban began.
			stacktest.RedisCommand(t, server, "PEXPIRE", "ban", rest.Milliseconds())

			require.Equal(t, 20*time.Minute, ask(10*time.Minute, false).left)
			require.LessOrEqual(t, stacktest.RedisCommand(t, server, "PTTL", "ban"), (20 * time.Minute).Milliseconds(), "operators see it too")
			require.Zero(t, ask(31*time.Minute, false).left)
			require.Equal(t, 30*time.Minute, ask(31*time.Minute, true).left)
		})
	}
}

func TestLimitScript_ABanByHandLastsAsLongAsItsKey(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r, _ := open(t, server)
	stacktest.RedisCommand(t, server, "SET", "ban", 1, "EX", 86400)

	reply, ok := limitCall{now: time.Now(), bans: []banCheck{
		{key: "ban", strikes: "strikes", after: 1, within: time.Minute, lasts: time.Minute},
	}}.run(t.Context(), r)

	require.True(t, ok)
	require.InDelta(t, 24*time.Hour, reply.bans[0].left, float64(time.Minute))
}

func TestLimitScript_ARefusedRequestIsNotCounted(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r, _ := open(t, server)
	ask := func(refused bool) []countReply {
		reply, ok := limitCall{counts: []countCheck{
			{key: "count", previous: "p", over: "over", refused: refused, limit: 2, life: time.Minute},
			{key: "later", previous: "p", over: "o", limit: 9, life: time.Minute},
		}}.run(t.Context(), r)
		require.True(t, ok)
		return reply.counts
	}

	require.Equal(t, []countReply{{count: 1}, {count: 1}}, ask(false))
	require.Equal(t, []countReply{{count: 1}}, ask(true))
	require.EqualValues(t, 0, stacktest.RedisCommand(t, server, "EXISTS", "over"))
	require.Equal(t, []countReply{{count: 2}, {count: 2}}, ask(false))
	require.Equal(t, []countReply{{count: 2}}, ask(true))
	require.EqualValues(t, 1, stacktest.RedisCommand(t, server, "EXISTS", "over"))
}

func TestLimitScript_WeighsThePreviousWindow(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r, _ := open(t, server)
	stacktest.RedisCommand(t, server, "SET", "before", 10)
	call := limitCall{counts: []countCheck{
		{key: "now", previous: "before", over: "over", limit: 6, weight: 0.5, life: time.Minute},
		{key: "next", previous: "p", over: "o", limit: 9, life: time.Minute},
	}}

	passes, _ := call.run(t.Context(), r)
	exceeded, _ := call.run(t.Context(), r)

	require.Equal(t, []countReply{{count: 1, previous: 10}, {count: 1}}, passes.counts)
	require.Equal(t, []countReply{{count: 2, previous: 10}}, exceeded.counts)
}

func TestLimitScript_AKeyOfTheWrongTypeIsDeletedOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r, _ := open(t, server)
	stacktest.RedisCommand(t, server, "LPUSH", "count", "not a number")
	call := limitCall{counts: []countCheck{{key: "count", previous: "p", over: "o", limit: 9, life: time.Minute}}}

	_, known := call.run(t.Context(), r)
	reply, again := call.run(t.Context(), r)

	require.False(t, known)
	require.True(t, again)
	require.Equal(t, []countReply{{count: 1}}, reply.counts)
}

func TestReset_DeletesAndRaisesTheGeneration(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r, _ := open(t, server)
	var keys []string
	for i := range 2500 {
		keys = append(keys, fmt.Sprintf("limit:%d", i))
		stacktest.RedisCommand(t, server, "SET", keys[i], 1, "EX", 60)
	}
	generation := func() int64 {
		reply, ok := limitCall{}.run(t.Context(), r)
		require.True(t, ok)
		return reply.generation
	}

	listed, _ := r.Lifetimes(t.Context(), "test", "limit:*")
	reset := deleteAndRaise(t.Context(), r, keys)
	first := generation()
	require.True(t, deleteAndRaise(t.Context(), r, nil))

	require.Len(t, listed, 2500)
	require.True(t, reset)
	left, _ := r.Lifetimes(t.Context(), "test", "limit:*")
	require.Empty(t, left)
	require.Positive(t, first)
	require.Greater(t, generation(), first)
}

func TestLimitScript_FailsWithoutRedis(t *testing.T) {
	t.Parallel()
	r := withoutRedis(t)

	_, ok := limitCall{}.run(t.Context(), r)
	_, listed := r.Lifetimes(t.Context(), "test", "*")

	require.False(t, ok)
	require.False(t, listed)
	require.False(t, deleteAndRaise(t.Context(), r, []string{"a"}))
	require.False(t, r.Delete(t.Context(), "test", "a"))
}
