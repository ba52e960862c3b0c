package jobs

import (
	"cmp"
	"context"

	"slipway/internal/telemetry"
)

// Traced returns middleware that gives each run a trace. It belongs outermost, so that
// the calls of all other middleware are spans of the trace too.
func Traced(tracer *telemetry.Tracer) Middleware {
	return func(ctx context.Context, run Run, next func(ctx context.Context) error) error {
		kind := telemetry.JobTrace
		if run.Backend == Redis {
			kind = telemetry.TaskTrace
		}
		work := run.name()
		traced, trace := tracer.Start(ctx, telemetry.Subject{
			ID: cmp.Or(run.Cause.Request, work), Kind: kind, Name: run.Kind, Work: work, Parent: run.Cause.Parent, Attempt: run.Attempt,
		})
		outcome := "panic"
		defer func() { tracer.End(trace, outcome, outcome == "failed" || outcome == "panic") }()
		err := next(traced)
		outcome = resultOf(ctx, err)
		return err
	}
}
