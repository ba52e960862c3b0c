package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"
)

// Args are what a job or task carries: ids, which it looks up when it runs.
// They are stored as JSON and read by the release before and the one after:
// add fields, and give them a meaning when they are missing.
type Args interface {
	Declare() Declaration
}

// Declaration is all that the runtime knows about a kind of work. Only Kind is
// needed.
type Declaration struct {
	Kind     string        // names the kind in both backends, for good
	Queue    Queue         // Default when empty
	Attempts int           // how often it is run before it counts as failed; 25 when zero
	Backoff  Backoff       // from one attempt to the next; Patient when nil
	Timeout  time.Duration // of one attempt; 30 s when zero

	// Unique drops what is enqueued while equal args wait, run or wait for
	// another attempt, or, when positive, were enqueued within that time.
	Unique Uniqueness

	// OneAtATime names what two runs must not touch at the same time: of equal
	// keys one runs, the others come back a little later. Nil: no limit.
	OneAtATime func(args json.RawMessage) string

	// Durable tasks are never lost: see Tasks.EnqueueTx. Others are dropped while
	// Redis is away. Jobs are always durable.
	Durable bool

	// Masked are the args that nobody is shown, by their JSON names, besides
	// those whose name says that they are secret.
	Masked []string
}

// Queue orders work by how urgent it is.
type Queue string

// The queues of both backends. Each queue of jobs has workers of its own; those
// of tasks share theirs, and the more urgent is asked more often.
const (
	Critical Queue = "critical"
	Default  Queue = "default"
	Low      Queue = "low"
)

// Queues are all queues, the most urgent first.
var Queues = []Queue{Critical, Default, Low}

// Uniqueness says of which equal args only one is enqueued.
type Uniqueness struct {
	Waiting bool          // while one waits or runs
	Within  time.Duration // of the last one; whole periods of that length, in UTC
}

// Backoff is how long work waits after attempt, which counts from 1.
type Backoff func(attempt int) time.Duration

// Patient waits 1 s, 16 s, 81 s and so on, by the fourth power: 25 attempts
// take eleven days, long enough to mend what is broken.
func Patient(attempt int) time.Duration {
	seconds := math.Pow(float64(attempt), 4)
	return spread(time.Duration(min(seconds, 86400)) * time.Second)
}

// Quick waits 1 s, 2 s, 4 s and so on, up to a minute, for what is soon out of
// date.
func Quick(attempt int) time.Duration {
	return spread(time.Second << min(attempt-1, 6))
}

// Handler is what a kind of work does.
type Handler struct {
	Declaration
	work    func(ctx context.Context, payload []byte) error
	check   func(payload []byte) error
	written func(payload []byte) error
	river   func(*river.Workers, *exclusive) error
}

// Handlers are all kinds that one backend works.
type Handlers []Handler

// Handle makes work what a kind does. It may be called more than once for the
// same args, and returns an error when it is to be called again.
func Handle[T Args](work func(ctx context.Context, args T) error) Handler {
	var kind T
	read := func(payload []byte) (args T, err error) {
		if err := json.Unmarshal(payload, &args); err != nil {
			return args, fmt.Errorf("read the arguments of %s: %w", kind.Declare().Kind, err)
		}
		return args, nil
	}
	return Handler{
		Declaration: kind.Declare().withDefaults(),
		work: func(ctx context.Context, payload []byte) error {
			args, err := read(payload)
			if err != nil {
				return giveUp(err)
			}
			return work(ctx, args)
		},
		check: func(payload []byte) error {
			_, err := read(payload)
			return err
		},
		written: func(payload []byte) error {
			if _, err := read(payload); err != nil {
				return err
			}
			if !bytes.HasPrefix(bytes.TrimSpace(payload), []byte("{")) {
				return fmt.Errorf(`read the arguments of %s: they must be an object, such as {"id": 7} or {}`, kind.Declare().Kind)
			}
			var args T
			decoder := json.NewDecoder(bytes.NewReader(payload))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(&args); err != nil {
				return fmt.Errorf("read the arguments of %s: %w", kind.Declare().Kind, err)
			}
			return nil
		},
		river: func(workers *river.Workers, exclusive *exclusive) error {
			return river.AddWorkerSafely(workers, &riverWorker[T]{declaration: kind.Declare().withDefaults(), exclusive: exclusive, work: work})
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

// Check tells whether a kind can read payload.
func (h Handler) Check(payload []byte) error { return h.check(payload) }

// CheckWritten is Check for what a person wrote: it also refuses fields that
// the kind does not have, which from another release would be all right.
func (h Handler) CheckWritten(payload []byte) error { return h.written(payload) }

// Private

// What holds where a declaration says nothing.
const (
	defaultAttempts = 25
	defaultTimeout  = 30 * time.Second
)

func (d Declaration) withDefaults() Declaration {
	if d.Queue == "" {
		d.Queue = Default
	}
	if d.Attempts == 0 {
		d.Attempts = defaultAttempts
	}
	if d.Backoff == nil {
		d.Backoff = Patient
	}
	if d.Timeout == 0 {
		d.Timeout = defaultTimeout
	}
	return d
}

// spread moves a pause by up to a tenth, so that what failed together does not
// come back together.
func spread(pause time.Duration) time.Duration {
	return pause + rand.N(pause/10+1)
}

// riverArgs are args as River stores them: their own JSON.
type riverArgs[T Args] struct{ args T }

func (a riverArgs[T]) Kind() string                     { return a.args.Declare().Kind }
func (a riverArgs[T]) MarshalJSON() ([]byte, error)     { return json.Marshal(a.args) }
func (a *riverArgs[T]) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &a.args) }

// riverWorker works a kind of job by its declaration.
type riverWorker[T Args] struct {
	river.WorkerDefaults[riverArgs[T]]
	declaration Declaration
	exclusive   *exclusive
	work        func(ctx context.Context, args T) error
}

func (w *riverWorker[T]) Work(ctx context.Context, job *river.Job[riverArgs[T]]) error {
	err := w.exclusive.run(ctx, w.declaration, job.EncodedArgs, func(ctx context.Context) error { return w.work(ctx, job.Args.args) })
	if pause, is := isLater(err); is {
		return errors.Join(river.JobSnooze(pause), err)
	}
	return err
}

func (w *riverWorker[T]) Timeout(*river.Job[riverArgs[T]]) time.Duration {
	return w.declaration.Timeout
}

func (w *riverWorker[T]) NextRetry(job *river.Job[riverArgs[T]]) time.Time {
	return time.Now().Add(w.declaration.Backoff(job.Attempt))
}
