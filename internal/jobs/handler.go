package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/riverqueue/river"
)

// Handler runs one kind of work.
type Handler struct {
	Declaration
	work         func(ctx context.Context, payload []byte) error // runs a task
	checkWritten func(payload []byte) error
	addToRiver   func(*river.Workers, *keyLock) error // registers the kind of a job with River
}

// Handlers are kinds of work, of one backend or of both.
type Handlers []Handler

// Handle returns a handler that calls work. It may call work more than once for
// the same args, and calls it again when it returns an error, unless the error is
// Permanent.
func Handle[T Args](work func(ctx context.Context, args T) error) Handler {
	var kind T
	declaration := kind.Declare().withDefaults()
	checkAndWork := func(ctx context.Context, args T) error {
		if err := check(declaration.Kind, args); err != nil {
			return Permanent(err)
		}
		return work(ctx, args)
	}
	return Handler{
		Declaration: declaration,
		work: func(ctx context.Context, payload []byte) error {
			args, err := readArgs[T](declaration.Kind, payload)
			if err != nil {
				return Permanent(err)
			}
			return checkAndWork(ctx, args)
		},
		checkWritten: func(payload []byte) error { return checkWritten[T](declaration.Kind, payload) },
		addToRiver: func(workers *river.Workers, lock *keyLock) error {
			return river.AddWorkerSafely(workers, &riverWorker[T]{declaration: declaration, lock: lock, work: checkAndWork})
		},
	}
}

// Find returns the handler of a kind.
func (h Handlers) Find(kind string) (Handler, bool) {
	for _, handler := range h {
		if handler.Kind == kind {
			return handler, true
		}
	}
	return Handler{}, false
}

// CheckWritten checks args that an operator wrote. It also refuses unknown
// fields, which are allowed in the args that another release enqueued.
func (h Handler) CheckWritten(payload []byte) error { return h.checkWritten(payload) }

// Private

func readArgs[T Args](kind string, payload []byte) (args T, err error) {
	if err := json.Unmarshal(payload, &args); err != nil {
		return args, fmt.Errorf("read the arguments of %s: %w", kind, err)
	}
	return args, nil
}

func checkWritten[T Args](kind string, payload []byte) error {
	if _, err := readArgs[T](kind, payload); err != nil {
		return err
	}
	if !bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) {
		return fmt.Errorf(`read the arguments of %s: they must be an object, such as {"id": 7} or {}`, kind)
	}
	var args T
	decoder := json.NewDecoder(bytes.NewReader(payload))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&args); err != nil {
		return fmt.Errorf("read the arguments of %s: %w", kind, err)
	}
	return check(kind, args)
}

// check calls the method Check of args that have one.
func check(kind string, args Args) error {
	checked, ok := args.(interface{ Check() error })
	if !ok {
		return nil
	}
	if err := checked.Check(); err != nil {
		return fmt.Errorf("check the arguments of %s: %w", kind, err)
	}
	return nil
}

// riverArgs store args in River as their own JSON.
type riverArgs[T Args] struct{ args T }

func (a riverArgs[T]) Kind() string                     { return a.args.Declare().Kind }
func (a riverArgs[T]) MarshalJSON() ([]byte, error)     { return json.Marshal(a.args) }
func (a *riverArgs[T]) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &a.args) }

// riverWorker runs one kind of job as its declaration describes.
type riverWorker[T Args] struct {
	river.WorkerDefaults[riverArgs[T]]
	declaration Declaration
	lock        *keyLock
	work        func(ctx context.Context, args T) error
}

func (w *riverWorker[T]) Work(ctx context.Context, job *river.Job[riverArgs[T]]) error {
	err := w.lock.run(ctx, w.declaration, job.EncodedArgs, func(ctx context.Context) error { return w.work(ctx, job.Args.args) })
	if pause, is := isSnooze(err); is {
		return errors.Join(river.JobSnooze(pause), err)
	}
	if isPermanent(err) {
		job.MaxAttempts = job.Attempt // River discards a job that failed in its last attempt
	}
	return err
}

func (w *riverWorker[T]) Timeout(*river.Job[riverArgs[T]]) time.Duration {
	return w.declaration.Timeout
}

func (w *riverWorker[T]) NextRetry(job *river.Job[riverArgs[T]]) time.Time {
	return time.Now().Add(w.declaration.Backoff(job.Attempt))
}
