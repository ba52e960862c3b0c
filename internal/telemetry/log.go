// Package telemetry holds the logger, the metrics registry, and the Reporter,
// through which every failure of a backend reaches logs, metrics and Sentry.
package telemetry

import (
	"io"
	"log/slog"
	"time"
)

// LogOptions are the settings of NewLogger.
type LogOptions struct {
	Level   slog.Level
	JSON    bool   // each line is a JSON object; else text for a terminal
	Role    string // of this process; in JSON only
	Version string // of this build; in JSON only, and empty: left out
	// TraceIDs adds the trace id of OpenTelemetry to each line that has the id of a
	// request, so that a collector finds the lines of a trace.
	TraceIDs bool
}

// NewLogger returns a logger that writes to w. Text has the time of day only. Lines
// about the work of a request, or of a job that a request enqueued, have its id.
func NewLogger(w io.Writer, options LogOptions) *slog.Logger {
	if !options.JSON {
		handler := slog.NewTextHandler(w, &slog.HandlerOptions{Level: options.Level, ReplaceAttr: shortTime})
		return slog.New(requestHandler{handler, options.TraceIDs})
	}
	handler := slog.NewJSONHandler(w, &slog.HandlerOptions{Level: options.Level})
	log := slog.New(requestHandler{handler, options.TraceIDs}).With("role", options.Role)
	if options.Version != "" {
		log = log.With("version", options.Version)
	}
	return log
}

// Private

// shortTime formats a record's time as the time of day in milliseconds.
func shortTime(groups []string, attribute slog.Attr) slog.Attr {
	if len(groups) == 0 && attribute.Key == slog.TimeKey {
		return slog.String(slog.TimeKey, attribute.Value.Time().Format(time.TimeOnly+".000"))
	}
	return attribute
}
