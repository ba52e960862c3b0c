// Package recurring enqueues work by the clock, as config/recurring.yml says.
// Every worker runs it; the database is the lock, so any number of workers,
// restarts and differing clocks enqueue each run once.
package recurring

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"slipway/internal/jobs"
)

// CatchUp says which runs are made up for that no worker was there to see.
type CatchUp string

// Runs older than a week are never made up for.
const (
	CatchUpNone CatchUp = "none"
	CatchUpLast CatchUp = "last" // only the newest; the default
	CatchUpAll  CatchUp = "all"
)

// Overlap says what happens when the run before is not done yet.
type Overlap string

// OverlapAllow is the default.
const (
	OverlapAllow Overlap = "allow"
	OverlapSkip  Overlap = "skip"
)

// Task is one entry of config/recurring.yml.
type Task struct {
	Key      string
	Schedule Schedule
	Text     string // the schedule as it is written, with its zone
	Backend  jobs.Backend
	Handler  jobs.Handler
	Args     json.RawMessage
	Queue    jobs.Queue
	CatchUp  CatchUp
	Overlap  Overlap
	Enabled  bool
}

// Parse reads the file and checks it against the kinds of work that there are.
// Its error names every entry that cannot be used, and why.
func Parse(file []byte, jobKinds, taskKinds jobs.Handlers) ([]Task, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	var entries map[string]entry
	if err := decoder.Decode(&entries); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the recurring work: %w", err)
	}
	var tasks []Task
	var problems []error
	for key, entry := range entries {
		task, err := entry.task(key, jobKinds, taskKinds)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
			continue
		}
		tasks = append(tasks, task)
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	slices.SortFunc(tasks, func(a, b Task) int { return strings.Compare(a.Key, b.Key) })
	return tasks, errors.Join(problems...)
}

// Private

// entry is a task as it is written.
type entry struct {
	Kind     string         `yaml:"kind"`
	Args     map[string]any `yaml:"args"`
	Schedule string         `yaml:"schedule"`
	Zone     string         `yaml:"zone"`
	Queue    jobs.Queue     `yaml:"queue"`
	CatchUp  CatchUp        `yaml:"catch_up"`
	Overlap  Overlap        `yaml:"overlap"`
	Enabled  *bool          `yaml:"enabled"`
}

func (e entry) task(key string, jobKinds, taskKinds jobs.Handlers) (Task, error) {
	task := Task{Key: key, Queue: e.Queue, CatchUp: e.CatchUp, Overlap: e.Overlap, Enabled: e.Enabled == nil || *e.Enabled}
	var known bool
	if task.Handler, known = jobKinds.Find(e.Kind); known {
		task.Backend = jobs.PG
	} else if task.Handler, known = taskKinds.Find(e.Kind); known {
		task.Backend = jobs.Redis
	} else {
		return Task{}, fmt.Errorf("there is no kind of work called %q", e.Kind)
	}

	zone, err := time.LoadLocation(e.Zone) // UTC when empty
	if err != nil {
		return Task{}, fmt.Errorf("zone %q: write a name of the time zone database, such as Europe/Amsterdam", e.Zone)
	}
	if task.Schedule, err = ParseSchedule(e.Schedule, zone); err != nil {
		return Task{}, err
	}
	task.Text = strings.TrimSpace(e.Schedule + " " + e.Zone)

	if e.Args == nil {
		e.Args = map[string]any{}
	}
	if task.Args, err = json.Marshal(e.Args); err != nil {
		return Task{}, fmt.Errorf("args: %w", err)
	}
	if err := task.Handler.CheckWritten(task.Args); err != nil {
		return Task{}, fmt.Errorf("args: %w", err)
	}

	if task.Queue == "" {
		task.Queue = task.Handler.Queue
	}
	if !slices.Contains(jobs.Queues, task.Queue) {
		return Task{}, fmt.Errorf("queue %q: it is one of critical, default, low", e.Queue)
	}
	switch task.CatchUp {
	case "":
		task.CatchUp = CatchUpLast
	case CatchUpNone, CatchUpLast, CatchUpAll:
	default:
		return Task{}, fmt.Errorf("catch_up %q: it is one of none, last, all", e.CatchUp)
	}
	switch task.Overlap {
	case "":
		task.Overlap = OverlapAllow
	case OverlapAllow, OverlapSkip:
	default:
		return Task{}, fmt.Errorf("overlap %q: it is one of allow, skip", e.Overlap)
	}
	return task, nil
}
