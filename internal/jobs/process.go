package jobs

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"
)

// State is what a worker does.
type State string

// A quiet worker takes no more work and finishes what runs. A stopping worker
// ends when that is done.
const (
	Working  State = "working"
	Quiet    State = "quiet"
	Stopping State = "stopping"
)

// Process is one worker in the table of processes.
type Process struct {
	ID          string    `json:"id"`
	Backend     Backend   `json:"backend"`
	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Version     string    `json:"version"`
	Queues      []string  `json:"queues"`
	Concurrency int       `json:"concurrency"`
	State       State     `json:"state"`
	InHand      int       `json:"in_hand"` // jobs or tasks that run
	StartedAt   time.Time `json:"started_at"`
	BeatAt      time.Time `json:"beat_at"`
}

// Private

// newProcess describes this process. Each start of a worker has a new id.
func newProcess(backend Backend, version string, queues Queues, concurrency int) Process {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	process := Process{Backend: backend, Host: host, PID: os.Getpid(), Version: version, Queues: queues.Names(), Concurrency: concurrency}
	process.ID = fmt.Sprintf("%s:%d:%s", host, process.PID, strings.ToLower(rand.Text()[:8]))
	return process
}
