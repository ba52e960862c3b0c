package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// Handler runs one kind of work.
type Handler struct {
	Declaration
	Args         string // the Go type of its args, such as mail.SendReceipt
	work         func(ctx context.Context, payload []byte) error
	checkWritten func(payload []byte) error
	around       []Middleware // the outermost first
}

// Handlers are kinds of work, of one backend or of both.
type Handlers []Handler

// Middleware runs around each run of work, for example to open a span or to set a
// tenant. It must call next, once, and return its error or one that wraps it:
// another error decides about the next attempt like one of the handler itself.
type Middleware func(ctx context.Context, run Run, next func(ctx context.Context) error) error

// Handle returns a handler that calls work. It may call work more than once for
// the same args, and calls it again when it returns an error, unless the error is
// Permanent.
func Handle[T Args](work func(ctx context.Context, args T) error) Handler {
	var kind T
	declaration := kind.Declare().withDefaults()
	return Handler{
		Declaration: declaration,
		Args:        fmt.Sprintf("%T", kind),
		work: func(ctx context.Context, payload []byte) error {
			args, err := readArgs[T](declaration.Kind, payload)
			if err != nil {
				return &unreadableError{err}
			}
			if err := check(declaration.Kind, args); err != nil {
				return Permanent(err)
			}
			return work(ctx, args)
		},
		checkWritten: func(payload []byte) error { return checkWritten[T](declaration.Kind, payload) },
	}
}

// limited reports whether a kind has a limit.
func (h Handlers) limited() bool {
	return slices.ContainsFunc(h, func(handler Handler) bool { return handler.Limit.Key != nil })
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

// Use returns the handlers with middleware around each, the first one outermost.
func (h Handlers) Use(middleware ...Middleware) Handlers {
	wrapped := slices.Clone(h)
	for i := range wrapped {
		wrapped[i].around = slices.Concat(middleware, wrapped[i].around)
	}
	return wrapped
}

// Kinds returns the names of the kinds.
func (h Handlers) Kinds() []string {
	kinds := make([]string, len(h))
	for i, handler := range h {
		kinds[i] = handler.Kind
	}
	return kinds
}

// Queues returns the standard queues, and then the other queues of the kinds.
func (h Handlers) Queues() Queues {
	queues := StandardQueues
	for _, handler := range h {
		queues = queues.And(handler.Queue)
	}
	return queues
}

// CheckWritten checks args that an operator wrote. It also refuses unknown
// fields, which are allowed in the args that another release enqueued.
func (h Handler) CheckWritten(payload []byte) error { return h.checkWritten(payload) }

// Perform runs work once as a worker does, inside the middleware. Its error is
// Permanent when the work fails for good, or Snooze.
func (h Handler) Perform(ctx context.Context, run Run, payload []byte) error {
	next := func(ctx context.Context) error { return h.work(ctx, payload) }
	for _, middleware := range slices.Backward(h.around) {
		inner := next
		next = func(ctx context.Context) error { return middleware(ctx, run, inner) }
	}
	return h.judge(h.waitForReader(run, labelled(withRun(ctx, run), run, next)), run.Attempt)
}

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
