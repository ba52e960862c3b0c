package taskqueue

import (
	"bytes"
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
	UniqueFor time.Duration   `json:"unique_for,omitempty"`    // how long an equal task is a duplicate, at most; 0: never
	Retention time.Duration   `json:"kept_for_done,omitempty"` // how long Redis remembers the id of a finished task
}

// DoneRetention is how long Redis remembers the id of a durable task that is
// done. An outbox job that relays the task later would run it again.
const DoneRetention = 10 * time.Minute

// Private

func (m Message) task() *asynq.Task { return asynq.NewTask(m.Kind, canonical(m.Args)) }

func (m Message) options(n namespace) []asynq.Option {
	// asynq allows one attempt more than the worker does: a task whose worker died
	// during the last attempt must still find one. The worker counts attempts.
	options := []asynq.Option{asynq.Queue(n.queue(m.Queue)), asynq.MaxRetry(m.Attempts), asynq.Timeout(m.Timeout + 5*time.Second)}
	if m.ID != "" {
		options = append(options, asynq.TaskID(m.ID))
	}
	if m.UniqueFor > 0 {
		options = append(options, asynq.Unique(m.UniqueFor))
	}
	if m.Retention > 0 {
		options = append(options, asynq.Retention(m.Retention))
	}
	return options
}

// canonical writes args the same way whether they come from Go or from
// PostgreSQL, which changes spaces and the order of keys. asynq compares the
// bytes of unique tasks.
func canonical(args json.RawMessage) []byte {
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
