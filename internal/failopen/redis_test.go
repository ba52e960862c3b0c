package failopen

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestRedis_Works(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	subscription := newClient(t, server).Subscribe(t.Context(), "news")
	defer subscription.Close()
	_, err := subscription.Receive(t.Context())
	require.NoError(t, err)

	before, known := r.LastNumber(t.Context(), "test", "news")
	number, published := r.Publish(t.Context(), "test", "news", []byte("a mug \x00 is sold"))
	after, _ := r.LastNumber(t.Context(), "test", "news")

	require.True(t, known)
	require.Zero(t, before)
	require.True(t, published)
	require.Equal(t, number, after)
	require.True(t, r.Ping(t.Context(), "test"))
	message, err := subscription.ReceiveMessage(t.Context())
	require.NoError(t, err)
	require.Equal(t, fmt.Sprintf("%d a mug \x00 is sold", number), message.Payload)
}

func TestRedis_EveryCallReturnsInTimeWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	require.NoError(t, frozen.Freeze())
	guarded := map[string]*Redis{
		"disabled":       open(t, ""),
		"stopped":        open(t, stopped.URL()),
		"frozen":         open(t, frozen.URL()),
		"wrong password": open(t, withPassword(t, stacktest.Redis(t).URL(), "wrong")),
		"no such host":   open(t, "redis://no-such-host.invalid:6379"),
	}

	for name, r := range guarded {
		started := time.Now()
		for range 100 {
			number, published := r.Publish(t.Context(), "test", "news", []byte("hello"))
			require.False(t, published, name)
			require.Zero(t, number, name)
			number, known := r.LastNumber(t.Context(), "test", "news")
			require.False(t, known, name)
			require.Zero(t, number, name)
			require.False(t, r.Ping(t.Context(), "test"), name)
		}
		// Three calls may wait for the timeout, of three hundred.
		require.Less(t, time.Since(started), 5*time.Second, name)
		require.Equal(t, name != "disabled", isOpen(r), name)
	}
}

func TestRedis_AKeyOfTheWrongTypeIsDeletedOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	command(t, server, "LPUSH", sequenceKey("news"), "not a number")

	_, known := r.LastNumber(t.Context(), "test", "news")
	_, published := r.Publish(t.Context(), "test", "news", nil)

	require.False(t, known)
	require.True(t, published)
}

func TestPublish_NumbersOnlyGrow(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	number := int64(0)
	publish := func() {
		t.Helper()
		next, ok := r.Publish(t.Context(), "test", "news", nil)
		require.True(t, ok)
		require.Greater(t, next, number)
		number = next
	}

	for range 100 {
		publish()
	}

	command(t, server, "FLUSHALL")
	publish()

	// An old copy, as a Redis loads it that has not saved for a while.
	command(t, server, "SET", sequenceKey("news"), number-1000)
	publish()

	command(t, server, "SET", sequenceKey("news"), "no number")
	publish()

	// A clock that ran ahead once.
	number += 3_600_000_000
	command(t, server, "SET", sequenceKey("news"), number)
	publish()
	publish()

	require.NoError(t, server.Restart(t.Context()))
	number -= 3_600_000_000 // a lead over the clock cannot survive a loss of all data
	require.Eventually(t, func() bool { return r.Ping(t.Context(), "test") }, 10*time.Second, 10*time.Millisecond)
	publish()
}

func TestPublish_ManyAtOnceGetNumbersOfTheirOwnInOneOrder(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := open(t, server.URL())
	subscription := newClient(t, server).Subscribe(t.Context(), "news")
	defer subscription.Close()
	_, err := subscription.Receive(t.Context())
	require.NoError(t, err)

	for range 8 {
		go func() {
			for range 50 {
				r.Publish(t.Context(), "test", "news", []byte("x"))
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

func TestOpen_DoesNotRepeatAnAddressThatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"redis://:hunter2@host:port", "hunter2", "redis://:hunter2@host/x?y=hunter2"} {
		_, err := Open(NewGuard(Options{URL: address}, nil))

		require.ErrorContains(t, err, "read the address of Redis")
		require.NotContains(t, err.Error(), "hunter2")
	}
}
