// Package telemetry holds the logger, the metrics registry, and the Reporter,
// through which every failure of a backend reaches logs, metrics and Sentry.
package telemetry

import (
	"io"
	"log/slog"
	"time"
)

// NewLogger returns a logger that writes to w what is at least level. When json
// is true, each line is a JSON object with the attribute role. When it is false,
// each line is text for a terminal, with the time of day only and without role. Lines
// about the work of a request, or of a job that a request enqueued, have its id.
func NewLogger(w io.Writer, level slog.Level, json bool, role string) *slog.Logger {
	if json {
		return slog.New(requestHandler{slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level})}).With("role", role)
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: shortTime}
	return slog.New(requestHandler{slog.NewTextHandler(w, options)})
}

// Private

// shortTime formats a record's time as the time of day in milliseconds.
func shortTime(groups []string, attribute slog.Attr) slog.Attr {
	if len(groups) == 0 && attribute.Key == slog.TimeKey {
		return slog.String(slog.TimeKey, attribute.Value.Time().Format(time.TimeOnly+".000"))
	}
	return attribute
}
