package postgres

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Unavailable reports whether an error means that the database is unreachable, too
// busy or read-only, so that a later attempt may succeed. It returns false when
// the statement is wrong. See the PostgreSQL manual, appendix A, "Error Codes".
func Unavailable(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var reply *pgconn.PgError
	switch {
	case err == nil:
		return false
	case errors.As(err, &reply):
		return hasPrefix(reply.Code, unavailableCodes)
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, errSilent), errors.Is(err, errCrowded):
		return true
	default:
		return pgconn.SafeToRetry(err) || broken(err)
	}
}

// Lost reports whether the connection broke during a statement while the server
// may be available: a statement that only reads can be retried at once on another
// connection. It returns false for a server that does not reply or is too busy.
func Lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var reply *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &connect), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, errSilent), errors.Is(err, errCrowded):
		return false
	case errors.As(err, &reply):
		return strings.HasPrefix(reply.Code, "08") || reply.Code == "57P01" || reply.Code == "57P02"
	case errors.As(err, &network):
		return !network.Timeout()
	default:
		return pgconn.SafeToRetry(err) || broken(err)
	}
}

// Private

// hasPrefix reports whether an SQLSTATE code begins with one of prefixes.
func hasPrefix(code string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(code, prefix) })
}

// broken reports whether one end closed the connection. The driver has no error
// types for some of these.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}

// unavailableCodes are prefixes of SQLSTATE codes.
var unavailableCodes = []string{
	"08",    // connection exception
	"25006", // read-only transaction
	"53",    // insufficient resources: disk full, out of memory, too many connections
	"55P03", // lock not available
	"57",    // operator intervention: shutdown, cannot connect now, statement timeout
	"40",    // rolled back: serialization failure, deadlock
}
