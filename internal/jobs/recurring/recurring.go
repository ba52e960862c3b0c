// Package recurring enqueues the jobs and tasks of config/recurring.yml on their
// schedules. Every worker runs a scheduler. The database decides which of them
// enqueues a run, so that each run is enqueued once, whatever the number of
// workers, their restarts and their clocks.
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

// CatchUp is which missed runs are enqueued later. A run is missed when no worker
// was running at its time.
type CatchUp string

// Runs that are more than a week late are never enqueued.
const (
	CatchUpNone CatchUp = "none"
	CatchUpLast CatchUp = "last" // only the newest run; the default
	CatchUpAll  CatchUp = "all"
)

// Overlap is what happens to a run when the previous run is not done.
type Overlap string

// The default is OverlapAllow.
const (
	OverlapAllow Overlap = "allow" // enqueue it too
	OverlapSkip  Overlap = "skip"  // do not enqueue it
)

// Entry is one entry of config/recurring.yml, checked and with its defaults.
type Entry struct {
	Key      string
	Schedule Schedule
	Text     string // the schedule as the file writes it, with its zone
	Backend  jobs.Backend
	Handler  jobs.Handler
	Args     json.RawMessage
	Queue    jobs.Queue
	CatchUp  CatchUp
	Overlap  Overlap
	Enabled  bool
}

// Parse reads the file and checks it against the kinds of both backends. Its error
// names each invalid entry and the reason.
func Parse(file []byte, jobKinds, taskKinds jobs.Handlers) ([]Entry, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	decoder.KnownFields(true)
	var written map[string]writtenEntry
	if err := decoder.Decode(&written); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the recurring work: %w", err)
	}
	var entries []Entry
	var problems []error
	for key, fields := range written {
		entry, err := fields.parse(key, jobKinds, taskKinds)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
			continue
		}
		entries = append(entries, entry)
	}
	slices.SortFunc(problems, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	slices.SortFunc(entries, func(a, b Entry) int { return strings.Compare(a.Key, b.Key) })
	return entries, errors.Join(problems...)
}

// Private

// writtenEntry is an entry as the file writes it.
type writtenEntry struct {
	Kind     string         `yaml:"kind"`
	Args     map[string]any `yaml:"args"`
	Schedule string         `yaml:"schedule"`
	Zone     string         `yaml:"zone"`
	Queue    jobs.Queue     `yaml:"queue"`
	CatchUp  CatchUp        `yaml:"catch_up"`
	Overlap  Overlap        `yaml:"overlap"`
	Enabled  *bool          `yaml:"enabled"`
}

// parse checks an entry and applies the defaults.
func (w writtenEntry) parse(key string, jobKinds, taskKinds jobs.Handlers) (Entry, error) {
	entry := Entry{Key: key, Queue: w.Queue, CatchUp: w.CatchUp, Overlap: w.Overlap, Enabled: w.Enabled == nil || *w.Enabled}
	var known bool
	if entry.Handler, known = jobKinds.Find(w.Kind); known {
		entry.Backend = jobs.PG
	} else if entry.Handler, known = taskKinds.Find(w.Kind); known {
		entry.Backend = jobs.Redis
	} else {
		return Entry{}, fmt.Errorf("there is no kind of work called %q", w.Kind)
	}

	zone, err := time.LoadLocation(w.Zone) // UTC when empty
	if err != nil {
		return Entry{}, fmt.Errorf("zone %q: write a name of the time zone database, such as Europe/Amsterdam", w.Zone)
	}
	if entry.Schedule, err = ParseSchedule(w.Schedule, zone); err != nil {
		return Entry{}, err
	}
	entry.Text = strings.TrimSpace(w.Schedule + " " + w.Zone)

	if w.Args == nil {
		w.Args = map[string]any{}
	}
	if entry.Args, err = json.Marshal(w.Args); err != nil {
		return Entry{}, fmt.Errorf("args: %w", err)
	}
	if err := entry.Handler.CheckWritten(entry.Args); err != nil {
		return Entry{}, fmt.Errorf("args: %w", err)
	}

	if err := entry.applyDefaults(); err != nil {
		return Entry{}, err
	}
	return entry, nil
}

// applyDefaults sets the fields that the file leaves out, and checks the others.
func (e *Entry) applyDefaults() error {
	if e.Queue == "" {
		e.Queue = e.Handler.Queue
	}
	if !slices.Contains(jobs.Queues, e.Queue) {
		return fmt.Errorf("queue %q: it is one of critical, default, low", e.Queue)
	}
	switch e.CatchUp {
	case "":
		e.CatchUp = CatchUpLast
	case CatchUpNone, CatchUpLast, CatchUpAll:
	default:
		return fmt.Errorf("catch_up %q: it is one of none, last, all", e.CatchUp)
	}
	switch e.Overlap {
	case "":
		e.Overlap = OverlapAllow
	case OverlapAllow, OverlapSkip:
	default:
		return fmt.Errorf("overlap %q: it is one of allow, skip", e.Overlap)
	}
	return nil
}
