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
	Args        json.RawMessage `json:"args"`
	Attempt     int             `json:"attempt"`
	MaxAttempts int             `json:"max_attempts"`
	CreatedAt   time.Time       `json:"created_at,omitzero"` // zero for tasks
	RunAt       time.Time       `json:"run_at,omitzero"`
	StartedAt   time.Time       `json:"started_at,omitzero"`
	FinishedAt  time.Time       `json:"finished_at,omitzero"`
	Worker      string          `json:"worker,omitempty"`
	Error       string          `json:"error,omitempty"` // the last error
	Errors      []Attempt       `json:"errors,omitempty"`
	Task        *ID             `json:"task,omitempty"` // that an outbox job relays
}

// Attempt is a run that failed. Redis stores only the last one.
type Attempt struct {
	Number int       `json:"attempt"`
	At     time.Time `json:"at"`
	Error  string    `json:"error"`
	Trace  string    `json:"trace,omitempty"`
}
