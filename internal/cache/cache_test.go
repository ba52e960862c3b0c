package cache

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/failopen/failopentest"
)

func TestMain(m *testing.M) {
	failopen.LogThrough(func(string, error) {})
	m.Run()
}

var (
	errNoMug = errors.New("no such mug")
	mugs     = Kind[mug]{Name: "mugs", Version: 1, Life: time.Minute, Absent: errNoMug}
)

type mug struct {
	Name  string
	Chips int
}

func TestFetch_ProcessesShareThroughRedis(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	one, two := newCache(t, server.URL()), newCache(t, server.URL())
	shelf := &shelf{}

	for range 3 {
		for _, c := range []*Cache{one, two} {
			value, err := mugs.Fetch(t.Context(), c, "blue", shelf.load)
			require.NoError(t, err)
			require.Equal(t, mug{Name: "load 1", Chips: 1}, value)
		}
	}

	require.EqualValues(t, 1, shelf.loads.Load())
	require.Equal(t, 1.0, testutil.ToFloat64(one.values()))
	require.Greater(t, testutil.ToFloat64(one.size()), 160.0)
	require.Equal(t, 1.0, one.counted(missed))
	require.Equal(t, 1.0, two.counted(hit))
	require.Equal(t, 2.0, two.counted(local))
}

func TestFetch_ACacheThatRenewsWarmsTheOthers(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	shelf := &shelf{}
	renewing := New(openRedis(t, server.URL()), Options{Renew: true}, prometheus.NewRegistry())
	t.Cleanup(renewing.Close)

	for _, expected := range []string{"load 1", "load 2"} {
		value, err := mugs.Fetch(t.Context(), renewing, "blue", shelf.load)
		require.NoError(t, err)
		require.Equal(t, expected, value.Name)
		other := newCache(t, server.URL())
		value, err = mugs.Fetch(t.Context(), other, "blue", shelf.load)
		require.NoError(t, err)
		require.Equal(t, expected, value.Name)
		require.Equal(t, 1.0, other.counted(hit))
	}
}

func TestFetch_WithoutRedisEachProcessLoadsOnce(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	require.NoError(t, frozen.Freeze())

	for name, address := range map[string]string{"disabled": "", "stopped": stopped.URL(), "frozen": frozen.URL()} {
		c := newCache(t, address)
		shelf := &shelf{}
		for range 50 {
			value, err := mugs.Fetch(t.Context(), c, "blue", shelf.load)
			require.NoError(t, err, name)
			require.Equal(t, 1, value.Chips, name)
		}
		require.EqualValues(t, 1, shelf.loads.Load(), name)
	}
}

func TestFetch_ManyAtOnceLoadOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	for name, address := range map[string]string{"with Redis": server.URL(), "without": ""} {
		c := newCache(t, address)
		shelf := &shelf{hold: make(chan struct{})}
		var asking sync.WaitGroup
		for range 200 {
			asking.Go(func() {
				value, err := mugs.Fetch(t.Context(), c, "blue", shelf.load)
				require.NoError(t, err, name)
				require.Equal(t, 1, value.Chips, name)
			})
		}
		stacktest.Eventually(t, func() bool { return shelf.loads.Load() == 1 })
		close(shelf.hold)
		asking.Wait()

		require.EqualValues(t, 1, shelf.loads.Load(), name)
		require.Equal(t, 200.0, c.counted(missed)+c.counted(shared)+c.counted(local), name)
	}
}

func TestFetch_ACancelledLeaderFailsNoOtherCall(t *testing.T) {
	t.Parallel()
	c := newCache(t, "")
	shelf := &shelf{hold: make(chan struct{})}
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := mugs.Fetch(ctx, c, "blue", shelf.load)
		left <- err
	}()
	stacktest.Eventually(t, func() bool { return shelf.loads.Load() == 1 })

	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	close(shelf.hold)
	value, err := mugs.Fetch(t.Context(), c, "blue", shelf.load)

	require.NoError(t, err)
	require.Equal(t, 1, value.Chips)
	require.EqualValues(t, 1, shelf.loads.Load())
}

func TestFetch_ALoadThatHangsIsEnded(t *testing.T) {
	t.Parallel()
	c := newCache(t, "")
	c.loadTimeout = 20 * time.Millisecond

	_, err := mugs.Fetch(t.Context(), c, "blue", func(ctx context.Context) (mug, error) {
		<-ctx.Done()
		return mug{}, ctx.Err()
	})

	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestFetch_ErrorsAreReturnedAndNotCached(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	c := newCache(t, server.URL())
	broken := errors.New("the shelf is broken")

	for range 3 {
		_, err := mugs.Fetch(t.Context(), c, "blue", func(context.Context) (mug, error) { return mug{Chips: 9}, broken })
		require.ErrorIs(t, err, broken)
	}
	value, err := mugs.Fetch(t.Context(), c, "blue", (&shelf{}).load)

	require.NoError(t, err)
	require.Equal(t, 1, value.Chips)
	require.Equal(t, 3.0, c.counted(failed))
}

func TestFetch_APanicIsAnErrorOfAllWaitingCalls(t *testing.T) {
	t.Parallel()
	c := newCache(t, "")

	_, err := mugs.Fetch(t.Context(), c, "blue", func(context.Context) (mug, error) { panic("dropped it") })
	require.ErrorContains(t, err, "dropped it")

	_, err = mugs.Fetch(t.Context(), c, "blue", (&shelf{}).load)
	require.NoError(t, err)
}

func TestFetch_CachesAbsenceForAShortTime(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	c := newCache(t, server.URL())
	asked := 0
	none := func(context.Context) (mug, error) { asked++; return mug{}, fmt.Errorf("find mug: %w", errNoMug) }

	for range 10 {
		_, err := mugs.Fetch(t.Context(), c, "pink", none)
		require.ErrorIs(t, err, errNoMug)
	}

	require.Equal(t, 1, asked)
	require.Equal(t, 10.0, c.counted(absent))
	known, ok := c.local.GetEntry(mugs.key("pink"))
	require.True(t, ok)
	require.LessOrEqual(t, known.ExpiresAfter(), absentLife)
	require.Empty(t, stacktest.RedisCommand(t, server, "KEYS", "*pink*"), "what anybody can invent does not fill Redis")
}

func TestFetch_MadeUpKeysDoNotFillTheMemory(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	c := New(openRedis(t, ""), Options{Bytes: 100 << 10}, registry)
	t.Cleanup(c.Close)

	for i := range 20_000 {
		_, err := mugs.Fetch(t.Context(), c, fmt.Sprint("invented-", i), func(context.Context) (mug, error) { return mug{}, errNoMug })
		require.ErrorIs(t, err, errNoMug)
		_, err = mugs.Fetch(t.Context(), c, fmt.Sprint("large-", i%100), func(context.Context) (mug, error) {
			return mug{Name: strings.Repeat("x", 10<<10)}, nil
		})
		require.NoError(t, err)
	}

	c.local.CleanUp()
	require.LessOrEqual(t, c.local.WeightedSize(), uint64(100<<10))
	require.Positive(t, c.local.EstimatedSize())
}

func TestFetch_ReplacesAValueThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	key := mugs.key("blue")
	spoiled := map[string][]any{
		"nonsense":             {"SET", key, "nonsense"},
		"empty":                {"SET", key, ""},
		"another shape":        {"SET", key, `{"until":99999999999999,"value":[1,2]}`},
		"no end":               {"SET", key, `{"value":{"Name":"old","Chips":7}}`},
		"past its life":        {"SET", key, `{"until":1000,"value":{"Name":"old","Chips":7}}`},
		"another type of key":  {"LPUSH", key, "a", "b"},
		"another type, hashed": {"HSET", key, "a", "b"},
	}

	for name, spoil := range spoiled {
		stacktest.RedisCommand(t, server, "DEL", key)
		stacktest.RedisCommand(t, server, spoil...)

		value, err := mugs.Fetch(t.Context(), newCache(t, server.URL()), "blue", (&shelf{}).load)
		require.NoError(t, err, name)
		require.Equal(t, 1, value.Chips, name)

		other := &shelf{}
		value, err = mugs.Fetch(t.Context(), newCache(t, server.URL()), "blue", other.load)
		require.NoError(t, err, name)
		require.Equal(t, 1, value.Chips, name)
		require.Zero(t, other.loads.Load(), "%s: it was not replaced", name)
	}
}

func TestFetch_TwoReleasesDoNotShareValues(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	c := newCache(t, server.URL())
	type cup struct{ Name, Handle string }
	cups := Kind[cup]{Name: mugs.Name, Version: 2, Life: time.Minute}

	_, err := mugs.Fetch(t.Context(), c, "blue", (&shelf{}).load)
	require.NoError(t, err)
	value, err := cups.Fetch(t.Context(), c, "blue", func(context.Context) (cup, error) { return cup{"new", "left"}, nil })
	require.NoError(t, err)

	require.Equal(t, cup{"new", "left"}, value)
}

func TestFetch_AValueExpiresEverywhereAtTheSameTime(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	one, two := newCache(t, server.URL()), newCache(t, server.URL())
	for _, c := range []*Cache{one, two} {
		_, err := mugs.Fetch(t.Context(), c, "blue", (&shelf{}).load)
		require.NoError(t, err)
	}

	made, _ := one.local.GetIfPresent(mugs.key("blue"))
	found, _ := two.local.GetIfPresent(mugs.key("blue"))

	require.WithinDuration(t, made.until, found.until, time.Millisecond)
	left := stacktest.RedisCommand(t, server, "PTTL", mugs.key("blue")).(int64)
	require.InDelta(t, time.Until(made.until).Milliseconds(), left, 1000)
}

func TestFetch_AClockThatIsAheadDoesNotProlongALife(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	c := newCache(t, server.URL())
	stacktest.RedisCommand(t, server, "SET", mugs.key("blue"), `{"until":99999999999999,"value":{"Name":"found","Chips":7}}`)

	value, err := mugs.Fetch(t.Context(), c, "blue", (&shelf{}).load)

	require.NoError(t, err)
	require.Equal(t, "found", value.Name)
	found, _ := c.local.GetIfPresent(mugs.key("blue"))
	require.WithinDuration(t, time.Now().Add(mugs.Life), found.until, 10*time.Second)
}

func TestFetch_SpreadsExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(nil, Options{}, prometheus.NewRegistry())
		defer c.Close()
		kind := Kind[int]{Name: "numbers", Life: 10 * time.Second, Local: true}
		loads := 0
		fetch := func() {
			for i := range 50 {
				_, err := kind.Fetch(t.Context(), c, fmt.Sprint(i), func(context.Context) (int, error) { loads++; return i, nil })
				require.NoError(t, err)
			}
		}

		fetch()
		time.Sleep(7 * time.Second)
		fetch()
		require.Equal(t, 50, loads, "no value ends much before its life")
		time.Sleep(2 * time.Second)
		fetch()
		require.Greater(t, loads, 50, "some end a little early")
		require.Less(t, loads, 100, "and not all at once")
		time.Sleep(10 * time.Second)
		loads = 0
		fetch()
		require.Equal(t, 50, loads, "none outlives its life")
	})
}

func TestFetch_AFullRedisLeavesTheLocalCache(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	c := newCache(t, server.URL())
	stacktest.RedisCommand(t, server, "CONFIG", "SET", "maxmemory", "1")
	shelf := &shelf{}

	for range 20 {
		_, err := mugs.Fetch(t.Context(), c, "blue", shelf.load)
		require.NoError(t, err)
	}

	require.EqualValues(t, 1, shelf.loads.Load())
}

func TestFetch_LosingAllDataOfRedisLoadsNothing(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	c := newCache(t, server.URL())
	shelf := &shelf{}
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			for ctx.Err() == nil {
				_, err := mugs.Fetch(context.WithoutCancel(ctx), c, "blue", shelf.load)
				require.NoError(t, err)
			}
		})
	}

	stacktest.RedisCommand(t, server, "FLUSHALL")
	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(t.Context()))
	require.NoError(t, server.Freeze())
	require.NoError(t, server.Thaw())
	stop()
	callers.Wait()

	require.LessOrEqual(t, shelf.loads.Load(), int64(2), "the life of one value ended at most")
}

func TestFetch_ALocalKindNeverGoesToRedis(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	c := newCache(t, server.URL())
	kind := Kind[string]{Name: "searches", Life: time.Minute, Local: true}

	_, err := kind.Fetch(t.Context(), c, "anything typed", func(context.Context) (string, error) { return "found", nil })

	require.NoError(t, err)
	require.Empty(t, stacktest.RedisCommand(t, server, "KEYS", "cache:*"))
}

func TestFetch_WithoutACacheEverythingIsLoaded(t *testing.T) {
	t.Parallel()
	shelf := &shelf{}

	for i := range 3 {
		value, err := mugs.Fetch(t.Context(), nil, "blue", shelf.load)
		require.NoError(t, err)
		require.Equal(t, i+1, value.Chips)
	}
	mugs.Put(nil, "blue", mug{})
	_, ok := mugs.Peek(nil, "blue")
	require.False(t, ok)
}

func TestPeek_ReturnsWhatWasPutForItsLife(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := New(nil, Options{}, prometheus.NewRegistry())
		defer c.Close()

		_, before := mugs.Peek(c, "blue")
		mugs.Put(c, "blue", mug{Chips: 3})
		time.Sleep(mugs.Life - time.Second)
		value, after := mugs.Peek(c, "blue")
		time.Sleep(2 * time.Second)
		_, later := mugs.Peek(c, "blue")

		require.False(t, before)
		require.True(t, after)
		require.Equal(t, 3, value.Chips)
		require.False(t, later)
	})
}

func TestClose_WaitsForLoads(t *testing.T) {
	t.Parallel()
	c := newCache(t, "")
	began, finish := make(chan struct{}), make(chan struct{})
	ctx, leave := context.WithCancel(t.Context())
	go func() {
		_, _ = mugs.Fetch(ctx, c, "blue", func(context.Context) (mug, error) { // heeds nothing
			close(began)
			<-finish
			return mug{}, nil
		})
	}()
	<-began
	leave()
	closed := make(chan struct{})
	go func() { c.Close(); close(closed) }()

	require.Never(t, func() bool {
		select {
		case <-closed:
			return true
		default:
			return false
		}
	}, 50*time.Millisecond, 10*time.Millisecond)
	close(finish)

	<-closed
	_, err := mugs.Fetch(t.Context(), c, "green", (&shelf{}).load)
	require.ErrorIs(t, err, errClosed)
}

func TestClose_EndsLoads(t *testing.T) {
	t.Parallel()
	c := newCache(t, "")
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := mugs.Fetch(t.Context(), c, "blue", func(ctx context.Context) (mug, error) {
			close(began)
			<-ctx.Done()
			return mug{}, ctx.Err()
		})
		ended <- err
	}()
	<-began

	c.Close()

	require.ErrorIs(t, <-ended, context.Canceled)
}

func BenchmarkFetch_Local(b *testing.B) {
	c := newCache(b, "")
	shelf := &shelf{}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = mugs.Fetch(b.Context(), c, "blue", shelf.load)
	}
}

// Private

// shelf makes mugs and knows how many. While hold is open it takes its time.
type shelf struct {
	loads atomic.Int64
	hold  chan struct{}
}

func (s *shelf) load(ctx context.Context) (mug, error) {
	number := s.loads.Add(1)
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return mug{}, ctx.Err()
		}
	}
	return mug{Name: fmt.Sprint("load ", number), Chips: int(number)}, nil
}

func (c *Cache) counted(how result) float64 {
	return testutil.ToFloat64(c.requests.WithLabelValues("mugs", string(how)))
}

func newCache(t testing.TB, address string) *Cache {
	t.Helper()
	c := New(openRedis(t, address), Options{}, prometheus.NewRegistry())
	t.Cleanup(c.Close)
	return c
}

// openRedis opens the guarded Redis at address, with its prober running. An
// empty address is a Redis that is switched off.
func openRedis(t testing.TB, address string) *failopen.Redis {
	t.Helper()
	opened, _ := failopentest.Open(t, failopen.Options{URL: address, Timeout: time.Second})
	return opened
}
