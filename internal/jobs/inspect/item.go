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
