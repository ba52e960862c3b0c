package taskqueue

import (
	"errors"
	"fmt"
	"strings"

	"slipway/internal/telemetry"
)

// Private

// asynqLog sends asynq's warnings and errors to the reporter.
type asynqLog struct{ reporter *telemetry.Reporter }

func (l asynqLog) Debug(...any)      {}
func (l asynqLog) Info(...any)       {}
func (l asynqLog) Warn(args ...any)  { l.report(args) }
func (l asynqLog) Error(args ...any) { l.report(args) }

// Fatal does not end the program, because asynq also calls it for errors that it
// survives.
func (l asynqLog) Fatal(args ...any) { l.report(args) }

// report leaves out final failures of tasks, which the worker logs with their
// errors.
func (l asynqLog) report(args []any) {
	text := fmt.Sprint(args...)
	if strings.HasPrefix(text, "Retry exhausted for task") {
		return
	}
	l.reporter.Report(telemetry.Redis, "asynq.Server", errors.New(text))
}
