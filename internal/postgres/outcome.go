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

// Outcome is what the error of a call says about the database.
type Outcome string

// The outcomes. Every caller that sorts errors of the database uses them.
const (
	// Unavailable means that the database is unreachable, too busy or read-only. A
	// later attempt may succeed.
	Unavailable Outcome = "unavailable"
	// Refused means that the database answers and does not accept this program: its
	// login, its database, its rights, its settings, or one more connection. Only an
	// operator can correct that. See Refusal.
	Refused Outcome = "refused"
	// Wrong means that the database accepts this program, but not this statement. It
	// is also the outcome of nil, and of an error that is not the database's.
	Wrong Outcome = "wrong"
)

// OutcomeOf sorts an error by its SQLSTATE code (PostgreSQL manual, appendix A,
// "Error Codes") and by when it happened.
func OutcomeOf(err error) Outcome {
	var connect *pgconn.ConnectError
	var network net.Error
	var reply *pgconn.PgError
	switch {
	case err == nil:
		return Wrong
	case errors.As(err, &reply):
		return outcomeOfReply(reply, errors.As(err, &connect))
	case errors.Is(err, errPooler):
		return Refused
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded):
		return Unavailable
	case refusedTLS(err):
		return Refused
	case errors.As(err, &connect), refusedByGuard(err):
		return Unavailable
	case pgconn.SafeToRetry(err), broken(err):
		return Unavailable
	}
	return Wrong
}

// Unusable reports whether the database is unavailable or refuses this program, so
// that no other statement would work either.
func Unusable(err error) bool { return OutcomeOf(err) != Wrong }

// Lost reports whether the connection broke during a statement while the server
// may be available: a statement that only reads can be retried at once on another
// connection. It returns false for a server that does not reply, is too busy or
// refuses this program.
func Lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var reply *pgconn.PgError
	switch {
	case OutcomeOf(err) != Unavailable, errors.As(err, &connect), errors.Is(err, context.DeadlineExceeded), refusedByGuard(err):
		return false
	case errors.As(err, &reply):
		return strings.HasPrefix(reply.Code, "08") || reply.Code == "57P01" || reply.Code == "57P02"
	case errors.As(err, &network):
		return !network.Timeout()
	default:
		return true
	}
}

// Private

// outcomeOfReply sorts an error that the server has sent, either while the program
// connects or in reply to a statement.
func outcomeOfReply(reply *pgconn.PgError, connecting bool) Outcome {
	switch {
	case hasPrefix(reply.Code, refusedCodes), connecting && refusedByPooler(reply):
		return Refused
	case hasPrefix(reply.Code, unavailableCodes):
		return Unavailable
	case connecting:
		return Refused // there is no statement yet that could be wrong
	}
	return Wrong
}

// refusedCodes are prefixes of SQLSTATE codes.
var refusedCodes = []string{
	"28",    // invalid authorization: password, pg_hba.conf, a role that may not log in
	"42501", // insufficient privilege
	"53300", // too many connections: of the server, the role or the database
}

// unavailableCodes are prefixes of SQLSTATE codes.
var unavailableCodes = []string{
	"08",    // connection exception
	"25006", // read-only transaction
	"53",    // insufficient resources: disk full, out of memory
	"55P03", // lock not available
	"57",    // operator intervention: shutdown, cannot connect now, statement timeout
	"40",    // rolled back: serialization failure, deadlock
}

// hasPrefix reports whether an SQLSTATE code begins with one of prefixes.
func hasPrefix(code string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(code, prefix) })
}

// classifiedError is an error with a class for logs and metrics.
type classifiedError struct{ class, text string }

func (e *classifiedError) Error() string { return e.text }
func (e *classifiedError) Class() string { return e.class }

// broken reports whether one end closed the connection. The driver has no error
// types for some of these.
func broken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		strings.Contains(err.Error(), "conn closed") || strings.Contains(err.Error(), "closed pool")
}
