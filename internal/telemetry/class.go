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

// Class sorts an error into one of a few classes, for logs and metrics. The
// first that applies is returned: the result of the error's own method
// Class() string; "sqlstate_" and the code of a PostgreSQL error; "dns",
// "refused", "timeout" or "reset" of the network; the class of a Redis error
// reply, such as "auth", "loading" or "oom"; "other". The error must not be nil.
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
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return "reset"
	}
	message := " " + err.Error()
	for _, known := range classTexts {
		if strings.Contains(message, " "+known.text) {
			return known.class
		}
	}
	return "other"
}

// Private

// classTexts maps words in an error's text to its class. The first match wins.
var classTexts = []struct{ text, class string }{
	// Error replies of Redis.
	{"NOAUTH", "auth"}, {"WRONGPASS", "auth"}, {"NOPERM", "auth"}, {"ERR AUTH", "auth"}, {"ERR invalid password", "auth"},
	{"LOADING", "loading"}, {"READONLY", "readonly"}, {"OOM ", "oom"}, {"MISCONF", "misconf"},
	{"MASTERDOWN", "masterdown"}, {"CLUSTERDOWN", "cluster"}, {"MOVED", "cluster"}, {"WRONGTYPE", "wrongtype"},
	{"pool timeout", "pool"}, {"ERR max number of clients", "clients"},
	// Network errors that a library formats without wrapping them.
	{"i/o timeout", "timeout"}, {"context deadline exceeded", "timeout"}, {"connection refused", "refused"},
	{"connection reset", "reset"}, {"broken pipe", "reset"}, {"EOF", "reset"}, {"no such host", "dns"},
}
