package taskqueue

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/hibiken/asynq"
)

// Message is a task on its way to Redis. Outbox jobs store it as JSON.
type Message struct {
	ID        string          `json:"id,omitempty"` // asynq makes one when it is empty
	Kind      string          `json:"kind"`
	Args      json.RawMessage `json:"args"`
	Queue     string          `json:"queue"`
	Attempts  int             `json:"attempts"`
	Timeout   time.Duration   `json:"timeout"`                 // of one attempt
	Retention time.Duration   `json:"kept_for_done,omitempty"` // how long Redis remembers the id of a finished task

	NotBefore  time.Time `json:"not_before,omitzero"`
	EnqueuedAt time.Time `json:"enqueued_at,omitzero"`
	ExpiresAt  time.Time `json:"expires_at,omitzero"` // it does not run later than this

	// What enqueued the task: the id of a request, and that of a job or task.
	Request string `json:"request,omitempty"`
	Parent  string `json:"parent,omitempty"`

	// Unique is equal for equal tasks; empty: the task has no duplicates. A task is a
	// duplicate while an equal one waits or runs or, with UniqueFor, until that time
	// after the other was enqueued.
	Unique    []byte        `json:"unique,omitempty"`
	UniqueFor time.Duration `json:"unique_within,omitempty"`
}

// DoneRetention is how long Redis remembers the id of a durable task that is
// done. An outbox job that relays the task later would run it again.
const DoneRetention = 10 * time.Minute

// Canonical writes args the same way whether they come from Go or from
// PostgreSQL, which changes spaces and the order of keys, so that equal args are
// equal bytes.
func Canonical(args json.RawMessage) []byte {
	decoder := json.NewDecoder(bytes.NewReader(args))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return args
	}
	written, err := json.Marshal(value)
	if err != nil {
		return args
	}
	return written
}

// Private

// timeoutMargin is how much longer asynq's timeout is than that of the worker, so
// that the worker decides when an attempt ends, also when the handler is stuck.
const timeoutMargin = time.Minute

func (m Message) task() *asynq.Task {
	headers := map[string]string{}
	for name, value := range map[string]time.Time{headerEnqueuedAt: m.EnqueuedAt, headerExpiresAt: m.ExpiresAt} {
		if !value.IsZero() {
			headers[name] = value.UTC().Format(time.RFC3339Nano)
		}
	}
	if m.NotBefore.After(m.EnqueuedAt) && !m.EnqueuedAt.IsZero() {
		headers[headerDueAt] = m.NotBefore.UTC().Format(time.RFC3339Nano)
	}
	for name, value := range map[string]string{headerRequest: m.Request, headerParent: m.Parent} {
		if value != "" {
			headers[name] = value
		}
	}
	if len(m.Unique) > 0 && m.UniqueFor == 0 { // the claim of a time ends by itself
		headers[headerUnique] = hex.EncodeToString(m.Unique)
	}
	return asynq.NewTaskWithHeaders(m.Kind, Canonical(m.Args), headers)
}

// The headers of a task in Redis.
const (
	headerEnqueuedAt = "enqueued_at"
	headerExpiresAt  = "expires_at"
	headerDueAt      = "due_at" // of tasks that are not due at once
	headerUnique     = "unique"
	headerRequest    = "request"
	headerParent     = "parent"
)

func (m Message) options(n namespace) []asynq.Option {
	// asynq allows one attempt more than the worker does: a task whose worker died
	// during the last attempt must still find one. The worker counts attempts.
	options := []asynq.Option{asynq.Queue(n.queue(m.Queue)), asynq.MaxRetry(m.Attempts), asynq.Timeout(m.Timeout + timeoutMargin)}
	if m.ID != "" {
		options = append(options, asynq.TaskID(m.ID))
	}
	if m.NotBefore.After(time.Now()) {
		options = append(options, asynq.ProcessAt(m.NotBefore))
	}
	if m.Retention > 0 {
		options = append(options, asynq.Retention(m.Retention))
	}
	return options
}
