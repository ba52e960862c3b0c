package live

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestSequence_PublishesWithTheNextNumber(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openRedis(t, server.URL())
	subscription := stacktest.RedisClient(t, server).Subscribe(t.Context(), channel)
	defer subscription.Close()
	_, err := subscription.Receive(t.Context())
	require.NoError(t, err)

	before, known := lastNumber(t.Context(), r)
	number, published := publishNext(t.Context(), r, []byte("a mug \x00 is sold"))
	after, _ := lastNumber(t.Context(), r)

	require.True(t, known)
	require.Zero(t, before)
	require.True(t, published)
	require.Equal(t, number, after)
	require.True(t, r.Ping(t.Context(), "test"))
	message, err := subscription.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%d 0 a mug \x00 is sold", number), message.Payload)
	second, _ := publishNext(t.Context(), r, []byte("another"))
	message, err = subscription.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%d %d another", second, number), message.Payload)
}

func TestSequence_AKeyOfTheWrongTypeIsDeletedOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openRedis(t, server.URL())
	stacktest.RedisCommand(t, server, "LPUSH", sequenceKey, "not a number")

	_, known := lastNumber(t.Context(), r)
	_, published := publishNext(t.Context(), r, nil)

	require.False(t, known)
	require.True(t, published)
}

func TestPublish_NumbersOnlyGrow(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openRedis(t, server.URL())
	number := int64(0)
	publish := func() {
		t.Helper()
		next, ok := publishNext(t.Context(), r, nil)
		require.True(t, ok)
		require.Greater(t, next, number)
		number = next
	}

	for range 100 {
		publish()
	}

	stacktest.RedisCommand(t, server, "FLUSHALL")
	publish()

	// An old copy, as a Redis loads it that has not saved for a while.
	stacktest.RedisCommand(t, server, "SET", sequenceKey, number-1000)
	publish()

	stacktest.RedisCommand(t, server, "SET", sequenceKey, "no number")
	publish()

	// A clock that ran ahead once.
	number += 3_600_000_000
	stacktest.RedisCommand(t, server, "SET", sequenceKey, number)
	publish()
	publish()

	require.NoError(t, server.Restart(t.Context()))
	number -= 3_600_000_000 // a lead over the clock cannot survive a loss of all data
	stacktest.Eventually(t, func() bool { return r.Ping(t.Context(), "test") })
	publish()
}

func TestPublish_ManyAtOnceGetUniqueNumbersInOneOrder(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openRedis(t, server.URL())
	subscription := stacktest.RedisClient(t, server).Subscribe(t.Context(), channel)
	defer subscription.Close()
	_, err := subscription.Receive(t.Context())
	require.NoError(t, err)

	for range 8 {
		go func() {
			for range 50 {
				publishNext(t.Context(), r, []byte("x"))
			}
		}()
	}

	last := int64(0)
	for range 400 {
		message, err := subscription.ReceiveMessage(t.Context())
		require.NoError(t, err)
		text, _, _ := strings.Cut(message.Payload, " ")
		number, err := strconv.ParseInt(text, 10, 64)
		require.NoError(t, err)
		require.Greater(t, number, last)
		last = number
	}
}

func TestSequence_ReturnsInTimeWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	require.NoError(t, frozen.Freeze())

	for name, address := range map[string]string{"disabled": "", "stopped": stopped.URL(), "frozen": frozen.URL()} {
		r := openRedis(t, address)
		started := time.Now()
		for range 100 {
			number, published := publishNext(t.Context(), r, []byte("hello"))
			require.False(t, published, name)
			require.Zero(t, number, name)
			number, known := lastNumber(t.Context(), r)
			require.False(t, known, name)
			require.Zero(t, number, name)
		}
		require.Less(t, time.Since(started), 5*time.Second, name)
	}
}
