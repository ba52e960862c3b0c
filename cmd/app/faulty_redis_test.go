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
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
)

// faultyRedis is a Redis that a test may damage, behind a proxy that a test may
// damage as well.
type faultyRedis struct {
	t       *testing.T
	redis   *devstack.Redis
	proxy   *toxiproxy.Proxy
	client  *redis.Client   // past the proxy, over one connection that stays open
	url     string          // through the proxy
	spoilt  []string        // keys
	until   <-chan struct{} // closed when a fault ends that ends by itself
	running sync.WaitGroup
}

func startFaultyRedis(t *testing.T, durable bool) *faultyRedis {
	t.Helper()
	server := stacktest.RedisWith(t, devstack.RedisOptions{Dir: t.TempDir(), Durable: durable})
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	f := &faultyRedis{t: t, redis: server}
	// The proxy listens anew for each fault, so its port must not be one that an outgoing connection may take meanwhile.
	listen := fmt.Sprintf("127.0.0.1:%d", stacktest.Port(t))
	f.proxy = toxiproxy.NewProxy(quiet(toxiproxy.NewServer, toxiproxy.NewMetricsContainer(nil)), "redis", listen, options.Addr)
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

// command sends a command past the proxy and returns the reply.
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

// hangUp ends every connection except the test's own.
func (f *faultyRedis) hangUp() {
	f.t.Helper()
	f.command("CLIENT", "KILL", "TYPE", "normal")
	f.command("CLIENT", "KILL", "TYPE", "pubsub")
}

// restart restarts Redis several times while the test goes on, each time after a
// pause.
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

// poison damages the replies of Redis on their way: see the toxics of toxiproxy.
func (f *faultyRedis) poison(toxic, attributes string) (end func()) {
	f.t.Helper()
	description := fmt.Sprintf(`{"type": %q, "stream": "downstream", "attributes": {%s}}`, toxic, attributes)
	_, err := f.proxy.Toxics.AddToxicJson(strings.NewReader(description))
	require.NoError(f.t, err)
	return func() { f.proxy.Toxics.ResetToxics(context.Background()) }
}

// direct points the proxy at another server and ends its connections.
func (f *faultyRedis) direct(upstream string) {
	f.t.Helper()
	require.NoError(f.t, f.proxy.Update(&toxiproxy.Proxy{Listen: f.proxy.Listen, Upstream: upstream, Enabled: true}))
}

// dropDials leaves new connections to the proxy unanswered, as a network that
// drops packets does: its port becomes a listener whose queue is full.
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

// faultyInstallation is the name of the installation that uses a faulty Redis.
const faultyInstallation = "faulty"

// spoil gives every key of the application a type that no code expects.
func (f *faultyRedis) spoil() {
	f.t.Helper()
	f.command("SET", "slipway:"+faultyInstallation+":live:sequence", 1) // as worker-redis does
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

// requireNoneSpoilt checks that the keys of families, which are prefixes, have
// their right type again. Others, such as those of one address or one moment,
// need not have been used since.
func (f *faultyRedis) requireNoneSpoilt(families []string) {
	f.t.Helper()
	for _, family := range families {
		prefix := "slipway:" + faultyInstallation + ":" + family
		spoilt := slices.DeleteFunc(slices.Clone(f.spoilt), func(key string) bool { return !strings.HasPrefix(key, prefix) })
		require.NotEmpty(f.t, spoilt, family)
		for _, key := range spoilt {
			require.NotEqual(f.t, "list", f.command("TYPE", key), key)
		}
	}
}

// quiet makes the server of toxiproxy with the zero logger, which logs nothing.
// The compiler infers its type, so that the logger's library is not imported.
func quiet[Metrics, Logger any](newServer func(Metrics, Logger) *toxiproxy.ApiServer, metrics Metrics) *toxiproxy.ApiServer {
	var logger Logger
	return newServer(metrics, logger)
}
