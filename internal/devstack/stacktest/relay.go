package stacktest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Relay passes connections on to a server, as a network does that a test may
// damage in ways that toxiproxy cannot.
type Relay struct {
	listener net.Listener
	upstream atomic.Pointer[string]
	largest  atomic.Int64
	admit    atomic.Pointer[func(connection int) bool]
	accepted atomic.Int64

	running sync.WaitGroup
	mutex   sync.Mutex
	closed  bool
	open    []net.Conn
}

// StartRelay passes connections on to the server at upstream, until the test ends.
func StartRelay(t testing.TB, upstream string) *Relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	r := &Relay{listener: listener}
	r.Direct(upstream)
	r.Admit(func(int) bool { return true })
	r.running.Go(r.serve)
	t.Cleanup(r.stop)
	return r
}

// Address is where clients connect to the relay.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// Direct passes new connections on to another server. The others stay where they are.
func (r *Relay) Direct(upstream string) { r.upstream.Store(&upstream) }

// LoseAbove loses every packet with more bytes than largest, in both directions and
// without a word. 0 loses none.
func (r *Relay) LoseAbove(largest int) { r.largest.Store(int64(largest)) }

// Admit hangs up new connections for which admit is false. They count from 1.
func (r *Relay) Admit(admit func(connection int) bool) { r.admit.Store(&admit) }

// Private

func (r *Relay) serve() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		number := int(r.accepted.Add(1))
		if !(*r.admit.Load())(number) || !r.keep(client) {
			_ = client.Close()
			continue
		}
		r.running.Go(func() { r.pass(client) })
	}
}

func (r *Relay) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", *r.upstream.Load())
	if err != nil || !r.keep(server) {
		return
	}
	defer server.Close()
	r.running.Go(func() {
		r.forward(client, server)
		_ = client.Close()
	})
	r.forward(server, client)
}

// forward copies what arrives, except packets that are lost, until either end
// closes.
func (r *Relay) forward(to, from net.Conn) {
	packet := make([]byte, 256<<10)
	for {
		size, err := from.Read(packet)
		largest := int(r.largest.Load())
		if lost := largest > 0 && size > largest; size > 0 && !lost {
			if _, err := to.Write(packet[:size]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// keep remembers a connection for stop, and reports whether it may be used.
func (r *Relay) keep(connection net.Conn) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.closed {
		_ = connection.Close()
		return false
	}
	r.open = append(r.open, connection)
	return true
}

func (r *Relay) stop() {
	_ = r.listener.Close()
	r.mutex.Lock()
	r.closed = true
	for _, connection := range r.open {
		_ = connection.Close()
	}
	r.mutex.Unlock()
	r.running.Wait()
}
