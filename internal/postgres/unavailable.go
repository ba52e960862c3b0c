package postgres

import (
	"context"
	"errors"
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
	default:
		return pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "unexpected EOF")
	}
}

// Private

var unavailableCodes = []string{
	"08",    // connection exception
	"25006", // read-only transaction
	"53",    // insufficient resources: disk full, out of memory, too many connections
	"55P03", // lock not available
	"57",    // operator intervention: shutdown, cannot connect now, statement timeout
	"40",    // rolled back: serialization failure, deadlock
}
