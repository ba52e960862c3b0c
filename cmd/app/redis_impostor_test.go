package main

import (
	"net"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// impersonate lets a server of the test reply in place of Redis: with reply to every
// command but a greeting. If cuts, it then ends the connection.
func (f *faultyRedis) impersonate(reply string, cuts bool) (end func()) {
	f.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(f.t, err)
	f.t.Cleanup(func() { _ = listener.Close() }) // also when the test fails before the fault ends
	f.running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			f.running.Go(func() { stacktest.ReplyInPlaceOfRedis(connection, reply, true, cuts) })
		}
	})
	upstream := f.proxy.Upstream
	f.direct(listener.Addr().String())
	return func() {
		f.direct(upstream)
		_ = listener.Close()
	}
}
