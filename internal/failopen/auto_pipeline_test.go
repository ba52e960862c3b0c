package failopen

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestAutoPipeline_SendsConcurrentRunsInOneRoundTrip(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := pipelined(t, options)
	script := redis.NewScript(`
		if ARGV[1] == "0" then return redis.error_reply("WRONG no zero") end
		return redis.call("INCRBY", KEYS[1], ARGV[1])`)
	require.NoError(t, script.Load(t.Context(), client).Err())
	reads := func() int { return readsOf(t, stacktest.RedisClient(t, server)) }

	const many = 2000
	before := reads()
	var all sync.WaitGroup
	for i := range many {
		all.Go(func() {
			sum, err := script.Run(t.Context(), client, []string{"key" + strconv.Itoa(i)}, i).Int()
			if i == 0 {
				require.ErrorContains(t, err, "WRONG no zero")
				return
			}
			require.NoError(t, err)
			require.Equal(t, i, sum, "each run has its own reply")
		})
	}
	all.Wait()

	require.Less(t, reads()-before, many/4)
}

func TestAutoPipeline_RunsScriptsThatRedisDoesNotKnow(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)

	answer, err := redis.NewScript(`return {ARGV[1], false, 7}`).Run(t.Context(), pipelined(t, options), nil, "text").Slice()

	require.NoError(t, err)
	require.Equal(t, []any{"text", nil, int64(7)}, answer)
}

func TestAutoPipeline_SendsAgainOnlyRunsWithoutAReply(t *testing.T) {
	t.Parallel()
	server := startCutter(t)
	options, err := PatientOptions("redis://"+server.listener.Addr().String(), 100)
	require.NoError(t, err)
	client := pipelined(t, options)

	for round := 0; server.cuts.Load() < 3; round++ {
		require.Less(t, round, 1000, "no two runs share a round trip")
		var all sync.WaitGroup
		for i := range 50 {
			name := fmt.Sprintf("%d-%d", round, i)
			all.Go(func() {
				reply, err := client.EvalSha(t.Context(), "script", nil, name).Text()
				require.NoError(t, err)
				require.Equal(t, name, reply)
			})
		}
		all.Wait()
	}

	for name, times := range server.answered {
		require.Equal(t, 1, times, name)
	}
}

func TestAutoPipeline_ABrokenRoundTripDoesNotLookLikeAnOutage(t *testing.T) {
	t.Parallel()
	server := startCutter(t)
	r := open(t, "redis://"+server.listener.Addr().String())
	script := NewScript(`return ARGV[1]`)

	failed := 0
	for round := 0; server.cuts.Load() < 3; round++ {
		require.Less(t, round, 1000, "no two runs share a round trip")
		var all sync.WaitGroup
		var failures atomic.Int64
		for i := range 50 {
			all.Go(func() {
				if !r.Run(t.Context(), "Test.Run", script, nil, []any{fmt.Sprintf("%d-%d", round, i)}, nil) {
					failures.Add(1)
				}
			})
		}
		all.Wait()
		failed += int(failures.Load())
		require.False(t, r.guard.Status().Open)
	}

	require.Positive(t, failed, "runs without a reply fail, and are not sent again")
	for name, times := range server.answered {
		require.Equal(t, 1, times, name)
	}
}

func TestAutoPipeline_RunsWithoutAConnectionFail(t *testing.T) {
	t.Parallel()
	options, err := redis.ParseURL(withPassword(t, stacktest.Redis(t).URL(), "wrong"))
	require.NoError(t, err)
	options.MaxRetries = -1

	require.ErrorContains(t, pipelined(t, options).EvalSha(t.Context(), "script", nil).Err(), "WRONGPASS")
}

func TestAutoPipeline_DialsAsSoonAsRedisIsBack(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := QuickOptions(Options{URL: server.URL()})
	require.NoError(t, err)
	client := pipelined(t, options)
	require.NoError(t, server.Kill())
	for range 10 {
		require.Error(t, client.EvalSha(t.Context(), "script", nil).Err())
	}

	require.NoError(t, server.Restart(t.Context()))

	require.ErrorContains(t, client.EvalSha(t.Context(), "script", nil).Err(), "NOSCRIPT")
}

func TestAutoPipeline_ReturnsWhenTheContextOfTheCallerEnds(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := PatientOptions(server.URL(), 10)
	require.NoError(t, err)
	client := pipelined(t, options)
	require.NoError(t, server.Freeze())

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			require.ErrorIs(t, client.EvalSha(ctx, "script", nil).Err(), context.DeadlineExceeded)
		})
	}
	all.Wait()

	require.NoError(t, server.Thaw())
	require.NoError(t, redis.NewScript(`return 1`).Run(t.Context(), client, nil).Err())
}

func TestAutoPipeline_RunsScriptsAfterItWasStopped(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client, pipeline := redis.NewClient(options), NewAutoPipeline(options, isNoReply)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	client.AddHook(pipeline)
	script := redis.NewScript(`return ARGV[1]`)
	require.NoError(t, script.Load(t.Context(), client).Err())

	var all sync.WaitGroup
	for i := range 500 {
		all.Go(func() {
			reply, err := script.Run(t.Context(), client, nil, i).Int()
			require.NoError(t, err)
			require.Equal(t, i, reply)
		})
		if i == 250 {
			all.Go(pipeline.Stop)
		}
	}
	all.Wait()
}

// Private

// readsOf returns how often Redis has read from its clients.
func readsOf(t *testing.T, client *redis.Client) (reads int) {
	t.Helper()
	info, err := client.Info(t.Context(), "stats").Result()
	require.NoError(t, err)
	_, rest, _ := strings.Cut(info, "total_reads_processed:")
	_, err = fmt.Sscan(rest, &reads)
	require.NoError(t, err)
	return reads
}

func pipelined(t *testing.T, options *redis.Options) *redis.Client {
	t.Helper()
	client, pipeline := redis.NewClient(options), NewAutoPipeline(options, isNoReply)
	client.AddHook(pipeline)
	t.Cleanup(func() {
		pipeline.Stop()
		require.NoError(t, client.Close())
	})
	return client
}

// cutter is a Redis that replies to EVALSHA with its only argument. Three times, it
// replies only to the first of several pipelined commands and closes the connection.
type cutter struct {
	listener net.Listener
	cuts     atomic.Int32
	mutex    sync.Mutex
	answered map[string]int
}

func startCutter(t *testing.T) *cutter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{listener: listener, answered: map[string]int{}}
	var ended sync.WaitGroup
	ended.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			ended.Go(func() { c.serve(connection) })
		}
	})
	t.Cleanup(ended.Wait)
	t.Cleanup(func() { _ = listener.Close() })
	return c
}

func (c *cutter) serve(connection net.Conn) {
	defer connection.Close()
	asked := bufio.NewReader(connection)
	for {
		words, err := readWords(asked)
		if err != nil {
			return
		}
		if words[0] != "evalsha" {
			_, _ = io.WriteString(connection, "-ERR unknown command\r\n")
			continue
		}
		name := words[len(words)-1]
		c.mutex.Lock()
		c.answered[name]++
		c.mutex.Unlock()
		_, _ = fmt.Fprintf(connection, "$%d\r\n%s\r\n", len(name), name)
		if asked.Buffered() > 0 && c.cuts.Load() < 3 {
			c.cuts.Add(1)
			return
		}
	}
}

// readWords reads a command in the protocol of Redis: an array of strings.
func readWords(asked *bufio.Reader) ([]string, error) {
	var words []string
	for left := 1; left > 0; left-- {
		line, err := asked.ReadString('\n')
		if err != nil {
			return nil, err
		}
		length, err := strconv.Atoi(strings.TrimSpace(line[1:]))
		if err != nil {
			return nil, err
		}
		if line[0] == '*' {
			left += length
			continue
		}
		word := make([]byte, length+2)
		if _, err := io.ReadFull(asked, word); err != nil {
			return nil, err
		}
		words = append(words, string(word[:length]))
	}
	return words, nil
}
