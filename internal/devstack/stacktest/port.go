package stacktest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// Port returns a port of 127.0.0.1 on which nothing listens. No other call in
// this process gets it. It lies below the range from which the kernel takes the
// ports of outgoing connections, so none of those occupies it later.
func Port(t testing.TB) int {
	t.Helper()
	ports.mutex.Lock()
	defer ports.mutex.Unlock()
	for range 1000 {
		port := 6000 + rand.IntN(9000)
		if ports.taken[port] || !isFree(port) {
			continue
		}
		ports.taken[port] = true
		return port
	}
	require.Fail(t, "there is no free port")
	return 0
}

// ClosedAddress returns an address of 127.0.0.1 that refuses connections until
// the test ends: a socket is bound to it and does not listen.
func ClosedAddress(t testing.TB) string {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, syscall.Close(socket)) })
	require.NoError(t, syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := syscall.Getsockname(socket)
	require.NoError(t, err)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(bound.(*syscall.SockaddrInet4).Port))
}

// Private

// ports remembers the ports that this process has handed out.
var ports = struct {
	mutex sync.Mutex
	taken map[int]bool
}{taken: map[int]bool{}}

func isFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}
