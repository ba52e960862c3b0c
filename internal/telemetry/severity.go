package telemetry

import (
	"log/slog"
	"strings"
)

// severity returns the log level for a class of failure: error when only an
// operator can correct it, info while Redis loads its data, else warning.
func severity(class string) slog.Level {
	switch {
	case class == "loading":
		return slog.LevelInfo
	case needsOperator(class):
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}

// needsOperator reports whether a class of failure lasts until an operator acts:
// a wrong configuration, a full disk or memory, a bug.
func needsOperator(class string) bool {
	switch class {
	case "oom", "misconf", "auth", "noperm", "protected", "database", "cluster", "wrongtype", "panic", "pooler", "tls":
		return true
	}
	code, isPostgres := strings.CutPrefix(class, "sqlstate_")
	if !isPostgres {
		return false
	}
	for _, prefix := range transientCodes {
		if strings.HasPrefix(code, prefix) {
			return false
		}
	}
	return true
}

// transientCodes are prefixes of SQLSTATE codes (PostgreSQL manual, appendix A)
// for failures that end without an operator.
var transientCodes = []string{
	"08",    // connection exception
	"25006", // read-only transaction, as after a failover
	"40",    // rolled back: serialization failure, deadlock
	"55P03", // lock not available
	"57",    // operator intervention: shutdown, cannot connect now, statement timeout
}
