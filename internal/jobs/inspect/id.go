package inspect

import (
	"fmt"
	"strconv"
	"strings"

	"slipway/internal/jobs"
)

// ID names a job as pg:123 and a task as redis:QUEUE:ID.
type ID struct {
	Backend jobs.Backend
	Job     int64
	Queue   string
	Task    string
}

// ParseID reads an id as operators write it.
func ParseID(text string) (ID, error) {
	backend, rest, _ := strings.Cut(text, ":")
	switch jobs.Backend(backend) {
	case jobs.PG:
		if number, err := strconv.ParseInt(rest, 10, 64); err == nil && number > 0 {
			return ID{Backend: jobs.PG, Job: number}, nil
		}
	case jobs.Redis:
		if queue, task, found := strings.Cut(rest, ":"); found && queue != "" && task != "" {
			return ID{Backend: jobs.Redis, Queue: queue, Task: task}, nil
		}
	}
	return ID{}, fmt.Errorf("%q is no id: write pg:123 or redis:QUEUE:ID, as app jobs list prints it", text)
}

// String returns the id as operators write it.
func (id ID) String() string {
	if id.Backend == jobs.PG {
		return fmt.Sprintf("pg:%d", id.Job)
	}
	return "redis:" + id.Queue + ":" + id.Task
}

// MarshalText returns the id as operators write it.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// Private

// jobID reads the id of a job in a filter, with its backend or without.
func jobID(text string) (int64, bool) {
	number, err := strconv.ParseInt(strings.TrimPrefix(text, "pg:"), 10, 64)
	return number, err == nil && number > 0
}

// taskID reads the id of a task in a filter. Its queue is empty when it may be any.
func taskID(text string) (queue, task string, is bool) {
	if id, err := ParseID(text); err == nil {
		return id.Queue, id.Task, id.Backend == jobs.Redis
	}
	return "", text, true
}
