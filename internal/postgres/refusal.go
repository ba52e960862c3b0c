package postgres

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// Refusal says in words why the database refuses this program, and what an
// operator can do. It names no server, user or database, because anyone may read
// /health. It returns "" for an error with another outcome than Refused.
func Refusal(err error) string {
	var reply *pgconn.PgError
	switch {
	case OutcomeOf(err) != Refused:
		return ""
	case errors.Is(err, errPooler):
		return poolerRefusal
	case !errors.As(err, &reply):
		return "the database and this program do not agree on TLS: correct sslmode and sslrootcert in DATABASE_URL"
	}
	why, known := refusalTexts[reply.Code]
	if refusedByPooler(reply) {
		why = poolerRefusal
	} else if !known {
		why = "the database refuses this program: its log says why"
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", why, reply.Code)
}

// Private

var refusalTexts = map[string]string{
	"28P01": "the database does not accept the password in DATABASE_URL: correct it or the user",
	"28000": "the database refuses the login: correct the user in DATABASE_URL, or allow the login in pg_hba.conf or by ALTER ROLE … LOGIN",
	"3D000": "the database does not exist on its server: correct its name in DATABASE_URL, or create it",
	"42501": "the user in DATABASE_URL lacks a right: GRANT it, or correct the user",
	"53300": "the database has no connection left for this program: lower DATABASE_POOL_SIZE or run fewer processes, " +
		"or raise max_connections or the limit of the role",
	"55000": "the database accepts no connections: allow them by ALTER DATABASE … ALLOW_CONNECTIONS true",
	"42704": "the database does not know a setting that this program asks for: remove it from the options in DATABASE_URL",
	"22023": "the database refuses the value of a setting that this program asks for: correct the options in DATABASE_URL",
}

const poolerRefusal = "a connection pooler such as PgBouncer refuses or drops the settings of this program: " +
	"connect to PostgreSQL itself, without a pooler"

// errPooler means that a connection lacks the time limits that it asked for, or was
// refused by a pooler.
var errPooler error = &classifiedError{class: "pooler", text: "the time limits of this program are not in force"}

// refusedByPooler reports whether a pooler, and not PostgreSQL, has refused a
// connection for good. PgBouncer gives all its errors one code, also those that
// end by themselves.
func refusedByPooler(reply *pgconn.PgError) bool {
	return reply.Code == "08P01" && slices.ContainsFunc(poolerTexts, func(text string) bool { return strings.Contains(reply.Message, text) })
}

var poolerTexts = []string{"unsupported startup parameter", "no such database", "no such user", "authentication failed"}

// refusedTLS reports whether the server has no TLS that this program demands, or a
// certificate that this program does not accept.
func refusedTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate) || strings.Contains(err.Error(), "server refused TLS connection")
}
