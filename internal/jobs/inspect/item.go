package inspect

import (
	"encoding/json"
	"time"
)

// Item is a job or task. Args are masked.
type Item struct {
	ID          ID              `json:"id"`
	Kind        string          `json:"kind"`
	Queue       string          `json:"queue"`
	State       State           `json:"state"`
	Args        json.RawMessage `json:"args"`                   // null when they are omitted
	ArgsOmitted bool            `json:"args_omitted,omitempty"` // they are too large for a list
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	CreatedAt   time.Time       `json:"created_at,omitzero"` // zero for a task when it is not known
	RunAt       time.Time       `json:"run_at,omitzero"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	Worker      string          `json:"worker,omitempty"`
	Error       string          `json:"error,omitempty"`  // the last error
	Errors      []Attempt       `json:"errors,omitempty"` // of a job, not in a list
	Task        *ID             `json:"task,omitempty"`   // that an outbox job relays
	Paused      Pause           `json:"paused,omitempty"` // what is paused, so that it waits; empty: nothing, or PostgreSQL does not reply

	RequestID string    `json:"request_id,omitempty"` // of the HTTP request at the beginning of the chain
	Parent    string    `json:"parent,omitempty"`     // the id of the job or task that enqueued this one
	ExpiresAt time.Time `json:"expires_at,omitzero"`

	// Only Show returns the following, of jobs, and the key of tasks too.
	Tags       []string        `json:"tags,omitempty"`
	Metadata   json.RawMessage `json:"metadata,omitempty"` // masked
	Batch      string          `json:"batch,omitempty"`
	Unique     bool            `json:"unique,omitempty"`      // it has a key that no equal job may have
	LimitKey   string          `json:"limit_key,omitempty"`   // it waits, or waited, until fewer runs hold this key
	LimitWaits bool            `json:"limit_waits,omitempty"` // it waits for the key now

	parked bool // a pause of its kind or its batch holds the job back, or did a moment ago
}

// Attempt is a run that failed. Redis stores only the last one.
type Attempt struct {
	Number int       `json:"attempt"`
	At     time.Time `json:"at"`
	Error  string    `json:"error"`
	Trace  string    `json:"trace,omitempty"`
}

// Private

// setArgs sets the masked args. They are nil when a list leaves them out.
func (i *Inspector) setArgs(item *Item, args []byte) {
	if item.ArgsOmitted = args == nil; !item.ArgsOmitted {
		item.Args = i.mask.Args(item.Kind, args)
	}
}

// lastChanged is when a task ended, or last failed, or was enqueued.
func (i Item) lastChanged() time.Time {
	switch {
	case !i.FinishedAt.IsZero():
		return i.FinishedAt
	case len(i.Errors) > 0:
		return i.Errors[len(i.Errors)-1].At
	}
	return i.CreatedAt
}
