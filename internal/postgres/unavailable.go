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

// Unavailable tells whether an error says that the database is away, too busy
// or takes no writes, so that trying again later may work, and not that the
// statement is wrong. See PostgreSQL, appendix A, "Error Codes".
func Unavailable(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var answer *pgconn.PgError
	switch {
	case err == nil:
		return false
	case errors.As(err, &answer):
		return slices.ContainsFunc(unavailableCodes, func(code string) bool { return strings.HasPrefix(answer.Code, code) })
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.Is(err, errSilent), errors.Is(err, errCrowded):
		return true
	default:
		return pgconn.SafeToRetry(err) || broken(err)
	}
}

// Lost tells whether a connection broke under a statement while the server may
// well be there: what only reads is worth another try, over another connection.
// A server that is silent or too busy is not asked again.
func Lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var answer *pgconn.PgError
	switch {
	case err == nil, errors.As(err, &connect), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errSilent), errors.Is(err, errCrowded):
		return false
	case errors.As(err, &answer):
		return strings.HasPrefix(answer.Code, "08") || answer.Code == "57P01" || answer.Code == "57P02"
	case errors.As(err, &network):
		return !network.Timeout()
	default:
		return pgconn.SafeToRetry(err) || broken(err)
	}
}

// Private

// broken tells that an end has hung up, for which the driver has no types.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}

var unavailableCodes = []string{
	"08",    // connection exception
	"25006", // read-only transaction
	"53",    // insufficient resources: disk full, out of memory, too many connections
	"55P03", // lock not available
	"57",    // operator intervention: shutdown, cannot connect now, statement timeout
	"40",    // rolled back: serialization failure, deadlock
}
