package telemetry

import (
	"log/slog"
	"strings"
)

// severity is how loud a class of failure is logged. What only a person can
// mend is an error; a Redis that is loading its data is as good as back.
func severity(class string) slog.Level {
	switch {
	case class == "loading":
		return slog.LevelInfo
	case needsAPerson(class):
		return slog.LevelError
	default:
		return slog.LevelWarn
	}
}

// needsAPerson tells classes that do not pass by themselves: wrong
// configuration, a full store, a mistake in the program.
func needsAPerson(class string) bool {
	switch class {
	case "oom", "misconf", "auth", "cluster", "wrongtype", "panic":
		return true
	}
	code, isPostgres := strings.CutPrefix(class, "sqlstate_")
	if !isPostgres {
		return false
	}
	for _, passing := range passingCodes {
		if strings.HasPrefix(code, passing) {
			return false
		}
	}
	return true
}

// passingCodes are those of PostgreSQL, appendix A, that say "not now".
var passingCodes = []string{
	"08",    // connection exception
	"25006", // read-only transaction, as after a failover
	"40",    // rolled back: serialization failure, deadlock
	"55P03", // lock not available
	"57",    // operator intervention: shutdown, cannot connect now, statement timeout
}
