package telemetry

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// Class sorts an error of a backend into one of few kinds, for logs and
// metrics: timeout, dns, refused, reset, what Redis says of itself (auth,
// loading, readonly, oom and so on), the SQLSTATE of a PostgreSQL error, what
// an error with a method Class() string calls itself, or other.
func Class(err error) string {
	var named interface{ Class() string }
	var dns *net.DNSError
	var network net.Error
	var postgres *pgconn.PgError
	switch {
	case errors.As(err, &named):
		return named.Class()
	case errors.As(err, &postgres):
		return "sqlstate_" + postgres.Code
	case errors.As(err, &dns):
		return "dns"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &network) && network.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "reset"
	}
	message := " " + err.Error()
	for _, reply := range redisReplies {
		if strings.Contains(message, " "+reply.text) {
			return reply.class
		}
	}
	return "other"
}

// Private

// redisReplies are the words by which Redis says what is wrong with it.
var redisReplies = []struct{ text, class string }{
	{"NOAUTH", "auth"}, {"WRONGPASS", "auth"}, {"NOPERM", "auth"}, {"ERR AUTH", "auth"}, {"ERR invalid password", "auth"},
	{"LOADING", "loading"}, {"READONLY", "readonly"}, {"OOM ", "oom"}, {"MISCONF", "misconf"},
	{"MASTERDOWN", "masterdown"}, {"CLUSTERDOWN", "cluster"}, {"MOVED", "cluster"}, {"WRONGTYPE", "wrongtype"},
	{"pool timeout", "pool"}, {"ERR max number of clients", "clients"},
	// What a library has put into words of its own, without the error in it.
	{"i/o timeout", "timeout"}, {"context deadline exceeded", "timeout"}, {"connection refused", "refused"},
	{"connection reset", "reset"}, {"broken pipe", "reset"}, {"EOF", "reset"}, {"no such host", "dns"},
}
