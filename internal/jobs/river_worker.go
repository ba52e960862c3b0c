package jobs

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// ErrExpired is the error of work that no worker began before it expired, see
// Declaration.ExpireAfter.
var ErrExpired = errors.New("it expired before a worker could run it")

// Private

// riverArgs hand the JSON of a job to its handler, which reads it. River itself
// would fail a job with args that this release cannot read.
type riverArgs struct {
	kind    string
	payload []byte
	failure error // of the run, for the pause before the next attempt
}

func (a riverArgs) Kind() string                     { return a.kind }
func (a riverArgs) MarshalJSON() ([]byte, error)     { return a.payload, nil }
func (a *riverArgs) UnmarshalJSON(text []byte) error { a.payload = text; return nil }

// riverWorker runs one kind of job as its declaration describes.
type riverWorker struct {
	river.WorkerDefaults[riverArgs]
	handler  Handler
	db       *pgxpool.Pool
	lock     *keyLock
	pauses   *pauses
	stopping func() bool // this process takes no more jobs, and ends
}

// addTo registers the kind with River.
func (w *riverWorker) addTo(workers *river.Workers) {
	river.AddWorkerArgs(workers, riverArgs{kind: w.handler.Kind}, w)
}

func (w *riverWorker) Work(ctx context.Context, job *river.Job[riverArgs]) error {
	run := RunOf(ctx)
	if err := w.pauses.hold(ctx, run, job.JobRow); err != nil {
		return err
	}
	if run.expired() {
		return river.JobCancel(ErrExpired)
	}
	err := w.lock.run(ctx, w.handler.Declaration, jobWaiter(job.JobRow), job.EncodedArgs, func(ctx context.Context) error {
		return w.handler.Perform(withSteps(ctx, newSteps(w.db, job.JobRow, w.stopping)), run, job.EncodedArgs)
	})
	if errors.Is(err, errParked) {
		return err // as it is: see parkedError
	}
	job.Args.failure = err
	if pause, is := isSnooze(err); is {
		return errors.Join(river.JobSnooze(pause), err)
	}
	if isPermanent(err) {
		job.MaxAttempts = job.Attempt // River discards a job that failed in its last attempt
	}
	return err
}

func (w *riverWorker) Timeout(*river.Job[riverArgs]) time.Duration { return w.handler.Timeout }

func (w *riverWorker) NextRetry(job *river.Job[riverArgs]) time.Time {
	return time.Now().Add(w.handler.ruleFor(job.Args.failure).Backoff(job.Attempt))
}

func runOfJob(job *rivertype.JobRow) Run {
	m := metadataOf(job)
	return Run{
		Batch: max(m.Batch, m.Callback), callback: m.Callback != 0,
		Backend: PG, ID: strconv.FormatInt(job.ID, 10), Kind: job.Kind, Queue: Queue(job.Queue), Attempt: job.Attempt,
		EnqueuedAt: job.CreatedAt, ExpiresAt: m.ExpiresAt, Cause: Cause{Request: m.Request, Parent: m.Parent},
	}
}
