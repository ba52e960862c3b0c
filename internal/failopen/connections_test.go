package failopen

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
)

func TestGuard_EndsAllConnectionsWhenItOpens(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	for name, address := range map[string]string{"plain": server.URL(), "TLS": behindTLS(t, server.URL())} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := openWithoutProber(t, address, io.Discard)
			r.guard.options.Timeout = stacktest.Patience // of the call in progress
			r.client.Options().ReadTimeout = stacktest.Patience
			ended := make(chan error, 1)
			var inUse sync.WaitGroup
			inUse.Go(func() {
				r.guard.Do(t.Context(), "test", func(ctx context.Context) error {
					err := r.client.Do(ctx, "BLPOP", "nothing-"+name, 0).Err()
					ended <- err
					return err
				})
			})
			stacktest.Eventually(t, func() bool {
				return strings.Contains(stacktest.RedisCommand(t, server, "CLIENT", "LIST").(string), "cmd=blpop")
			})
			idle := connectionID(t, r)
			require.Equal(t, idle, connectionID(t, r), "a connection is used again")

			r.guard.open(errors.New("broken"), 1, false)
			inUse.Wait()
			r.guard.close()

			require.ErrorIs(t, <-ended, net.ErrClosed)
			require.NotEqual(t, idle, connectionID(t, r))
		})
	}
}

func TestGuard_DoesNotReportCallsThatItEnds(t *testing.T) {
	t.Parallel()
	log := &stacktest.Journal{}
	r := openWithoutProber(t, stacktest.Redis(t).URL(), log)

	closed := &net.OpError{Op: "read", Err: net.ErrClosed}
	for _, err := range []error{closed, errors.New("UNKNOWN: redis eval error: " + closed.Error())} { // as the task queue passes it on
		r.guard.Do(t.Context(), "test", func(context.Context) error {
			r.guard.open(errors.New("broken"), 1, false)
			return err
		})
		require.EqualValues(t, 1, r.guard.outage.Load().failed.Load())
		r.guard.close()
	}

	require.Empty(t, log.String())
}

// Not only a guard, a worker too must leave a server that serves nothing.
func TestPatientOptions_LeaveAServerThatServesNothing(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := PatientOptions(server.URL(), 1)
	require.NoError(t, err)
	options.MaxRetries = -1
	client := redis.NewClient(options)
	defer client.Close()
	before := client.ClientID(t.Context()).Val()
	require.Equal(t, before, client.ClientID(t.Context()).Val())

	require.Error(t, client.Eval(t.Context(), `return redis.error_reply('MASTERDOWN Link with MASTER is down')`, nil).Err())

	require.NotEqual(t, before, client.ClientID(t.Context()).Val())
}

func TestQuickOptions_MakeNoCallTwice(t *testing.T) {
	t.Parallel()
	peer, calls := hangingUp(t)
	r := openWithoutProber(t, "redis://"+peer, io.Discard)
	number := int64(0)

	require.False(t, r.Command(t.Context(), "test", "incr", []string{"sum"}, readNumber(&number)))
	require.EqualValues(t, 1, calls.Load())

	require.False(t, r.Run(t.Context(), "test", addScript, []string{"sum"}, []any{1}, nil))
	require.EqualValues(t, 2, calls.Load())
}

func TestQuickOptions_DialOnceForACall(t *testing.T) {
	t.Parallel()
	options, err := QuickOptions(Options{URL: "redis://127.0.0.1:1"})
	require.NoError(t, err)
	dials := 0
	options.Dialer = func(context.Context, string, string) (net.Conn, error) {
		dials++
		return nil, errors.New("broken")
	}
	client := redis.NewClient(options)
	defer client.Close()

	require.Error(t, client.Get(t.Context(), "key").Err())
	_, err = client.Pipelined(t.Context(), func(pipe redis.Pipeliner) error { return pipe.Get(t.Context(), "key").Err() })

	require.Error(t, err)
	require.Equal(t, 2, dials)
}

func TestProbe_AsksForAReplyAsLargeAsTheLargest(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	relay := stacktest.StartRelay(t, addressOf(t, server.URL()))
	r := openWithoutProber(t, strings.Replace(server.URL(), addressOf(t, server.URL()), relay.Address(), 1), io.Discard)
	stacktest.RedisCommand(t, server, "SET", "page", strings.Repeat("x", 5000))
	relay.LoseAbove(4000)
	require.NoError(t, r.guard.Probe(t.Context()))
	relay.LoseAbove(0)
	_, lookup := r.Get(t.Context(), "test", "page")
	require.Equal(t, Found, lookup)

	relay.LoseAbove(4000)

	require.Error(t, r.guard.Probe(t.Context()))
}

func TestProbe_IsAsLargeAsTheLargestCall(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	relay := stacktest.StartRelay(t, addressOf(t, server.URL()))
	r := openWithoutProber(t, strings.Replace(server.URL(), addressOf(t, server.URL()), relay.Address(), 1), io.Discard)
	require.True(t, r.Set(t.Context(), "test", "small", make([]byte, 100), time.Minute))
	relay.LoseAbove(4000)
	require.NoError(t, r.guard.Probe(t.Context()))

	require.False(t, r.Set(t.Context(), "test", "large", make([]byte, 5000), time.Minute))

	require.Error(t, r.guard.Probe(t.Context()))
	relay.LoseAbove(0)
	require.NoError(t, r.guard.Probe(t.Context()))
	require.Less(t, stacktest.RedisCommand(t, server, "MEMORY", "USAGE", probeKey), int64(200), "nothing large is stored")
}

func TestProbe_IsBounded(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openWithoutProber(t, server.URL(), io.Discard)
	require.True(t, r.Set(t.Context(), "test", "huge", make([]byte, 1<<20), time.Minute))
	_, lookup := r.Get(t.Context(), "test", "huge")
	require.Equal(t, Found, lookup)
	input, output := traffic(t, server)

	require.NoError(t, r.guard.Probe(t.Context()))

	moreInput, moreOutput := traffic(t, server)
	require.InDelta(t, largestProbe, moreInput-input, 16<<10)
	require.InDelta(t, largestProbe, moreOutput-output, 16<<10)
}

// Private

// connectionID is the number that Redis gave to the connection of a call.
func connectionID(t *testing.T, r *Redis) (id int64) {
	t.Helper()
	require.True(t, r.guard.Do(t.Context(), "test", func(ctx context.Context) (err error) {
		id, err = r.client.ClientID(ctx).Result()
		return err
	}))
	return id
}

// traffic is how many bytes a server has received and sent.
func traffic(t *testing.T, server *devstack.Redis) (input, output int) {
	t.Helper()
	for line := range strings.Lines(stacktest.RedisCommand(t, server, "INFO", "stats").(string)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		number, _ := strconv.Atoi(value)
		switch name {
		case "total_net_input_bytes":
			input = number
		case "total_net_output_bytes":
			output = number
		}
	}
	return input, output
}

// hangingUp starts a server that takes a call and hangs up, and counts the calls.
func hangingUp(t *testing.T) (address string, calls *atomic.Int64) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var running sync.WaitGroup
	t.Cleanup(func() {
		require.NoError(t, listener.Close())
		running.Wait()
	})
	calls = &atomic.Int64{}
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			if _, err := bufio.NewReader(connection).ReadString('\n'); err == nil {
				calls.Add(1)
			}
			_ = connection.Close()
		}
	})
	return listener.Addr().String(), calls
}

// behindTLS is the address of a server that ends TLS in front of the Redis at
// address.
func behindTLS(t *testing.T, address string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
	})
	require.NoError(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() { passOn(client, addressOf(t, address)) })
		}
	})
	t.Cleanup(running.Wait)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	encrypted := strings.Replace(address, addressOf(t, address), listener.Addr().String(), 1)
	return strings.Replace(encrypted, "redis://", "rediss://", 1) + "?skip_verify=true"
}

// passOn copies both ways between a client and the server at address, until
// either hangs up.
func passOn(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(client, server)
		_ = client.Close()
	})
	_, _ = io.Copy(server, client)
	_ = server.Close()
	back.Wait()
}
