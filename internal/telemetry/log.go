// Package telemetry is how the program tells what it does: logs, metrics, and
// one reporter for everything that goes wrong behind a request's back.
package telemetry

import (
	"io"
	"log/slog"
	"time"
)

// NewLogger writes lines for people, or JSON when json is set. Each line
// carries the role that wrote it.
func NewLogger(w io.Writer, level slog.Level, json bool, role string) *slog.Logger {
	if json {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})).With("role", role)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime}
	return slog.New(slog.NewTextHandler(w, options))
}

// Private

// shortTime keeps what a person at a terminal looks for: the time of day.
func shortTime(groups []string, attribute slog.Attr) slog.Attr {
	if len(groups) == 0 && attribute.Key == slog.TimeKey {
		return slog.String(slog.TimeKey, attribute.Value.Time().Format(time.TimeOnly+".000"))
	}
	return attribute
}
