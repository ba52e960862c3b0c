package main

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

// faultyRedis is a Redis that a test may do anything to, and the way to it,
// which may fail as well.
type faultyRedis struct {
	t       *testing.T
	redis   *devstack.Redis
	proxy   *toxiproxy.Proxy
	client  *redis.Client   // straight to Redis, over one connection that stays
	url     string          // by way of the proxy
	spoilt  []string        // keys
	until   <-chan struct{} // closed when a fault is over that ends by itself
	running sync.WaitGroup
}

func startFaultyRedis(t *testing.T, durable bool) *faultyRedis {
	t.Helper()
	server, err := devstack.StartRedis(t.Context(), devstack.RedisOptions{Dir: t.TempDir(), Durable: durable})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop(context.Background())) })
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	f := &faultyRedis{t: t, redis: server}
	f.proxy = toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "redis", "127.0.0.1:0", options.Addr)
	require.NoError(t, f.proxy.Start())
	t.Cleanup(f.proxy.Stop)

	options.PoolSize = 1
	f.client = redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, f.client.Close()) })
	t.Cleanup(f.running.Wait)
	f.command("PING")
	f.url = strings.Replace(server.URL(), options.Addr, f.proxy.Listen, 1)
	return f
}

// command asks Redis itself, by no proxy.
func (f *faultyRedis) command(arguments ...any) any {
	f.t.Helper()
	reply, err := f.client.Do(f.t.Context(), arguments...).Result()
	require.NoError(f.t, err, arguments)
	return reply
}

// settings sets pairs of a setting and its value.
func (f *faultyRedis) settings(pairs ...any) {
	f.t.Helper()
	f.command(append([]any{"CONFIG", "SET"}, pairs...)...)
}

func (f *faultyRedis) setting(name string) string {
	f.t.Helper()
	found, err := f.client.ConfigGet(f.t.Context(), name).Result()
	require.NoError(f.t, err)
	return found[name]
}

// hangUp ends every connection but the test's own.
func (f *faultyRedis) hangUp() {
	f.t.Helper()
	f.command("CLIENT", "KILL", "TYPE", "normal")
	f.command("CLIENT", "KILL", "TYPE", "pubsub")
}

// restart has Redis restarted so often while the test goes on, each time after
// a pause.
func (f *faultyRedis) restart(pause time.Duration, times int) (end func()) {
	over := make(chan struct{})
	f.until = over
	f.running.Go(func() {
		defer close(over)
		for range times {
			time.Sleep(pause)
			if err := f.redis.Restart(context.Background()); err != nil {
				f.t.Error(err)
			}
		}
	})
	return func() { <-over }
}

// poison spoils the way to Redis: see the toxics of toxiproxy. Stream is
// upstream for what is asked, and downstream for what is answered.
func (f *faultyRedis) poison(toxic, stream, attributes string) (end func()) {
	f.t.Helper()
	_, err := f.proxy.Toxics.AddToxicJson(strings.NewReader(fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": {%s}}`, toxic, stream, attributes)))
	require.NoError(f.t, err)
	return func() { f.proxy.Toxics.ResetToxics(context.Background()) }
}

// direct points the proxy at another server. What is connected is hung up on.
func (f *faultyRedis) direct(upstream string) {
	f.t.Helper()
	require.NoError(f.t, f.proxy.Update(&toxiproxy.Proxy{Listen: f.proxy.Listen, Upstream: upstream, Enabled: true}))
}

// dropDials has nothing answer who wants to connect to the proxy, not even to
// refuse, as where packets are dropped: a listener whose queue is full.
func (f *faultyRedis) dropDials() (end func()) {
	f.t.Helper()
	address, err := net.ResolveTCPAddr("tcp", f.proxy.Listen)
	require.NoError(f.t, err)
	f.proxy.Stop()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(f.t, err)
	require.NoError(f.t, syscall.SetsockoptInt(socket, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1))
	require.NoError(f.t, syscall.Bind(socket, &syscall.SockaddrInet4{Port: address.Port, Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(f.t, syscall.Listen(socket, 0))
	var queued []net.Conn
	for {
		connection, err := net.DialTimeout("tcp", f.proxy.Listen, 200*time.Millisecond)
		if err != nil {
			var failure net.Error
			require.ErrorAs(f.t, err, &failure)
			require.True(f.t, failure.Timeout(), err)
			break
		}
		queued = append(queued, connection)
	}
	return func() {
		for _, connection := range queued {
			require.NoError(f.t, connection.Close())
		}
		require.NoError(f.t, syscall.Close(socket))
		require.NoError(f.t, f.proxy.Start())
	}
}

// spoil makes every key of the store one of a type that nobody expects.
func (f *faultyRedis) spoil() {
	f.t.Helper()
	f.command("SET", "slipway:sequence:slipway:live", 1) // as worker-redis does
	keys, err := f.client.Keys(f.t.Context(), "slipway:*").Result()
	require.NoError(f.t, err)
	f.spoilt = keys
	for _, key := range keys {
		kind := f.command("TYPE", key)
		f.command("DEL", key)
		if kind == "list" {
			f.command("SET", key, "spoilt")
		} else {
			f.command("RPUSH", key, "spoilt")
		}
	}
}

// requireNoneSpoilt looks at the keys that everybody uses; those of one address
// or one moment need not have been used again.
func (f *faultyRedis) requireNoneSpoilt() {
	f.t.Helper()
	for _, family := range []string{"slipway:cache:", "slipway:sale:", "slipway:sequence:"} {
		spoilt := slices.DeleteFunc(slices.Clone(f.spoilt), func(key string) bool { return !strings.HasPrefix(key, family) })
		require.NotEmpty(f.t, spoilt, family)
		for _, key := range spoilt {
			require.NotEqual(f.t, "list", f.command("TYPE", key), key)
		}
	}
}
