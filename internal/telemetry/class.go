package telemetry

import (
	"context"
	"crypto/tls"
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
// "refused", "timeout" or "reset" of the network; "tls"; the class of a Redis error
// reply, such as "auth", "loading" or "oom"; "other". The error must not be nil.
func Class(err error) string {
	var named interface{ Class() string }
	var dns *net.DNSError
	var network net.Error
	var postgres *pgconn.PgError
	var certificate *tls.CertificateVerificationError
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
	case errors.As(err, &certificate):
		return "tls"
	}
	message := " " + err.Error()
	for _, known := range classTexts {
		// Redis before 7 passes on the error of a command in a script as "... -READONLY ...".
		if strings.Contains(message, " "+known.text) || strings.Contains(message, " -"+known.text) {
			return known.class
		}
	}
	return "other"
}

// Private

// classTexts maps words in an error's text to its class. The first match wins.
var classTexts = []struct{ text, class string }{
	// Error replies of Redis.
	{"NOAUTH", "auth"}, {"WRONGPASS", "auth"}, {"ERR AUTH", "auth"}, {"ERR invalid password", "auth"},
	{"ERR Client sent AUTH", "auth"}, {"ERR Protocol error: unauthenticated", "auth"}, // a long command without a password
	{"NOPERM", "noperm"}, {"DENIED Redis is running in protected mode", "protected"},
	{"ERR DB index is out of range", "database"}, {"ERR invalid DB index", "database"},
	{"MOVED", "cluster"}, {"ASK ", "cluster"}, {"CROSSSLOT", "cluster"}, {"CLUSTERDOWN", "cluster"}, {"TRYAGAIN", "cluster"},
	{"ERR SELECT is not allowed in cluster mode", "cluster"},
	{"LOADING", "loading"}, {"READONLY", "readonly"}, {"OOM ", "oom"}, {"MISCONF", "misconf"}, {"NOREPLICAS", "noreplicas"},
	{"MASTERDOWN", "masterdown"}, {"BUSY ", "busy"}, {"UNKILLABLE", "busy"}, {"WRONGTYPE", "wrongtype"},
	{"the peer does not speak as Redis does", "protocol"},
	{"pool timeout", "pool"}, {"ERR max number of clients", "clients"},
	// Network errors that a library formats without wrapping them.
	{"i/o timeout", "timeout"}, {"context deadline exceeded", "timeout"}, {"connection refused", "refused"},
	{"server refused TLS connection", "tls"}, {"connection reset", "reset"}, {"broken pipe", "reset"}, {"EOF", "reset"},
	{"use of closed network connection", "reset"}, {"no such host", "dns"},
}
