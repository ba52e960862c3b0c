package telemetry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"slipway/internal/devstack/stacktest"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

func TestClass_SortsNetworkErrors(t *testing.T) {
	t.Parallel()

	require.Equal(t, "refused", Class(fmt.Errorf("call: %w", dial(t, stacktest.ClosedAddress(t)))))
	require.Equal(t, "dns", Class(dial(t, "no-such-host.invalid:80")))
	require.Equal(t, "timeout", Class(readAfter(t, func(net.Conn) {})))
	require.Equal(t, "reset", Class(readAfter(t, func(server net.Conn) { require.NoError(t, server.Close()) })))
	require.Equal(t, "reset", Class(readAfter(t, func(server net.Conn) {
		require.NoError(t, server.(*net.TCPConn).SetLinger(0))
		require.NoError(t, server.Close())
	})))
	require.Equal(t, "reset", Class(io.ErrUnexpectedEOF))

	expired, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	require.Equal(t, "timeout", Class(fmt.Errorf("query: %w", expired.Err())))
}

func TestClass_SortsPostgreSQLErrors(t *testing.T) {
	t.Parallel()
	reply := &pgconn.PgError{Code: "53300", Message: "too many clients already"}

	require.Equal(t, "sqlstate_53300", Class(fmt.Errorf("insert row: %w", reply)))

	_, err := pgconn.Connect(t.Context(), "postgres://app:hunter2@"+stacktest.ClosedAddress(t)+"/app?sslmode=disable")
	require.Equal(t, "refused", Class(err))

	require.Equal(t, "tls", Class(errors.New("failed to connect: 127.0.0.1:5432: server refused TLS connection")))
	require.Equal(t, "tls", Class(fmt.Errorf("connect: %w", &tls.CertificateVerificationError{Err: errors.New("expired")})))
}

func TestClass_SortsRedisErrorReplies(t *testing.T) {
	t.Parallel()
	for text, class := range map[string]string{
		"NOAUTH Authentication required.":                                  "auth",
		"WRONGPASS invalid username-password pair or user is disabled.":    "auth",
		"NOPERM this user has no permissions to run the 'set' command":     "noperm",
		"ERR AUTH <password> called without any password configured":       "auth",
		"LOADING Redis is loading the dataset in memory":                   "loading",
		"READONLY You can't write against a read only replica.":            "readonly",
		"OOM command not allowed when used memory > 'maxmemory'.":          "oom",
		"MISCONF Redis is configured to save RDB snapshots, but it cannot": "misconf",
		"MASTERDOWN Link with MASTER is down":                              "masterdown",
		"CLUSTERDOWN Hash slot not served":                                 "cluster",
		"MOVED 3999 127.0.0.1:6381":                                        "cluster",
		"ASK 3999 127.0.0.1:6381":                                          "cluster",
		"CROSSSLOT Keys in request don't hash to the same slot":            "cluster",
		"TRYAGAIN Multiple keys request during rehashing of slot":          "cluster",
		"ERR SELECT is not allowed in cluster mode":                        "cluster",
		"ERR DB index is out of range":                                     "database",
		"ERR Client sent AUTH, but no password is set":                     "auth",
		"ERR Protocol error: unauthenticated multibulk length":             "auth",
		"DENIED Redis is running in protected mode because":                "protected",
		"NOREPLICAS Not enough good replicas to write.":                    "noreplicas",
		"BUSY Redis is busy running a script.":                             "busy",
		"ERR Error running script: @user_script: 1: -OOM command not":      "oom", // of Redis before 7
		"BUSYKEY Target key name already exists.":                          "other",
		"WRONGTYPE Operation against a key holding the wrong kind":         "wrongtype",
		"ERR max number of clients reached":                                "clients",
		"redis: connection pool timeout":                                   "pool",
		"UNKNOWN: redis eval error: OOM command not allowed":               "oom", // asynq adds the prefix
		"ERR unknown command 'FOO'":                                        "other",
		"the file was REMOVED from the ROOM ":                              "other",
	} {
		require.Equal(t, class, Class(errors.New(text)), text)
	}
}

// Private

func dial(t *testing.T, address string) error {
	t.Helper()
	dialer := net.Dialer{Timeout: 10 * time.Second}
	connection, err := dialer.DialContext(t.Context(), "tcp", address)
	if err == nil {
		require.NoError(t, connection.Close())
	}
	return err
}

// readAfter returns the error of a client that reads from a connection after do
// ran at the server's end.
func readAfter(t *testing.T, do func(server net.Conn)) error {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	client, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := listener.Accept()
	require.NoError(t, err)
	defer server.Close()

	do(server)
	require.NoError(t, client.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	_, err = client.Read(make([]byte, 1))
	require.Error(t, err)
	return err
}
