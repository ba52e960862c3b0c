package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Private

// observeJobs counts and logs every run of a job, and hides secrets in its error
// before River stores it. It gives the run its context, see RunOf.
type observeJobs struct {
	river.MiddlewareDefaults
	log     *slog.Logger
	metrics *Metrics
	active  *atomic.Int64
	mask    Mask

	inFlight prometheus.Gauge
}

func (o *observeJobs) Work(ctx context.Context, job *rivertype.JobRow, next func(context.Context) error) error {
	growStack()
	o.active.Add(1)
	defer o.active.Add(-1)
	o.inFlight.Inc()
	defer o.inFlight.Dec()
	if job.Queue != string(Critical) {
		ctx = postgres.Yield(ctx)
	}
	ctx = withRun(ctx, runOfJob(job))
	record := runRecord{
		backend: PG, queue: job.Queue, kind: job.Kind, id: job.ID, attempt: job.Attempt,
		started: time.Now(), waited: waitOf(job), routine: job.Kind == OutboxKind || bytes.Contains(job.Metadata, recurringRun),
	}
	finished := false
	defer func() {
		if !finished {
			record.final = job.Attempt >= job.MaxAttempts
			o.metrics.observe(context.WithoutCancel(ctx), o.log, record, errors.New("panic")) // failed, even if ctx has ended
			o.panicMasked(job, recover())
		}
	}()
	err := next(ctx)
	finished = true
	if errors.Is(err, errParked) {
		o.metrics.observe(ctx, o.log, record, err)
		return err // as it is: see parkedError
	}
	err = o.mask.Error(job.Kind, job.EncodedArgs, err)
	record.final = job.Attempt >= job.MaxAttempts // now lower if the error is permanent
	o.metrics.observe(ctx, o.log, record, err)
	return err
}

// waitOf is how long a job was due before a worker fetched it. Both times are by the
// clock of the database, except that of a retry.
func waitOf(job *rivertype.JobRow) time.Duration {
	if job.AttemptedAt == nil {
		return unknownWait
	}
	return max(job.AttemptedAt.Sub(job.ScheduledAt), 0)
}

// panicMasked continues a panic, because River stores its text and its stack.
func (o *observeJobs) panicMasked(job *rivertype.JobRow, cause any) {
	if cause == nil {
		return // runtime.Goexit
	}
	text := fmt.Sprint(cause)
	if shown := o.mask.Text(job.Kind, job.EncodedArgs, text); shown != text {
		panic(shown)
	}
	panic(cause)
}

// reportJobs reports jobs that failed for good, and jobs that panicked. It logs
// the stack of a panic, which observeJobs cannot see.
type reportJobs struct {
	log      *slog.Logger
	reporter *telemetry.Reporter
	mask     Mask
}

func (r reportJobs) HandleError(_ context.Context, job *rivertype.JobRow, err error) *river.ErrorHandlerResult {
	if job.Attempt >= job.MaxAttempts && !isOneOf(err, []error{ErrExpired, taskqueue.ErrCancelled}) {
		r.reporter.Unexpected("job "+job.Kind, strconv.FormatInt(job.ID, 10), err)
	}
	return nil
}

func (r reportJobs) HandlePanic(ctx context.Context, job *rivertype.JobRow, cause any, stack string) *river.ErrorHandlerResult {
	stack = r.mask.Text(job.Kind, job.EncodedArgs, stack)
	r.reporter.Unexpected("job "+job.Kind, strconv.FormatInt(job.ID, 10), &telemetry.Panic{Cause: cause, Stack: stack})
	r.log.ErrorContext(ctx, "Job panicked", "kind", job.Kind, "id", job.ID, "panic", fmt.Sprint(cause), "stack", stack)
	return nil
}

// quietRiver drops River's messages below warning, and those about runs that
// observeJobs, reportJobs and stuckRuns log. It logs a failure of a loop of River at
// most once a minute: River tries again each second, for each queue.
type quietRiver struct {
	slog.Handler
	loops *occasionally
}

func newQuietRiver(log *slog.Logger) quietRiver {
	return quietRiver{log.Handler(), newOccasionally(time.Minute)}
}

func (q quietRiver) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && q.Handler.Enabled(ctx, level)
}

func (q quietRiver) Handle(ctx context.Context, record slog.Record) (err error) {
	if strings.Contains(record.Message, "panic recovery") || strings.HasSuffix(record.Message, "Job appears to be stuck") {
		return nil
	}
	if isAboutAJob(record) {
		return q.Handler.Handle(ctx, record)
	}
	q.loops.do(record.Message, func() { err = q.Handler.Handle(ctx, record) })
	return err
}

func (q quietRiver) WithAttrs(attributes []slog.Attr) slog.Handler {
	return quietRiver{q.Handler.WithAttrs(attributes), q.loops}
}

func (q quietRiver) WithGroup(name string) slog.Handler {
	return quietRiver{q.Handler.WithGroup(name), q.loops}
}

func isAboutAJob(record slog.Record) (is bool) {
	record.Attrs(func(attribute slog.Attr) bool {
		is = attribute.Key == "job_id"
		return !is
	})
	return is
}
