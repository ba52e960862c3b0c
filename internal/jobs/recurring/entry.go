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
	"maps"
	"slices"
	"strings"

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
// names each invalid entry and all reasons.
func Parse(file []byte, jobKinds, taskKinds jobs.Handlers) ([]Entry, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(file))
	var written map[string]yaml.Node
	err := decoder.Decode(&written)
	if errors.Is(err, io.EOF) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the recurring work: %w", err)
	}
	var more yaml.Node
	switch err := decoder.Decode(&more); {
	case err == nil:
		return nil, fmt.Errorf("read the recurring work: a second YAML document begins in line %d; remove the --- in front of it", more.Line)
	case !errors.Is(err, io.EOF):
		return nil, fmt.Errorf("read the recurring work: %w", err)
	}

	var entries []Entry
	var problems []error
	for _, key := range slices.Sorted(maps.Keys(written)) {
		node := written[key]
		entry, found := parseEntry(key, &node, jobKinds, taskKinds)
		for _, problem := range found {
			problems = append(problems, fmt.Errorf("%s (line %d): %w", key, node.Line, problem))
		}
		entries = append(entries, entry)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return entries, nil
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

// keys are the keys of an entry.
var keys = []string{"kind", "args", "schedule", "zone", "queue", "catch_up", "overlap", "enabled"}

// keysElsewhere are keys that Solid Queue's file of the same name has, with what to
// write instead.
var keysElsewhere = map[string]string{
	"class":       "write kind: and the kind of a job or task, such as kind: send_reminders",
	"command":     "write the code as a job or task, and its kind here, such as kind: send_reminders",
	"priority":    "write queue: critical, default or low",
	"description": "write a comment (# …)",
	"timezone":    "write zone: and a name such as Europe/Amsterdam",
	"cron":        "write schedule: and the same expression",
	"every":       "write schedule: every …",
}

// parseEntry checks an entry and applies the defaults.
func parseEntry(key string, node *yaml.Node, jobKinds, taskKinds jobs.Handlers) (entry Entry, problems []error) {
	var fields map[string]any
	if err := node.Decode(&fields); err != nil {
		return Entry{}, []error{fmt.Errorf("an entry is a list of keys such as kind and schedule: %w", err)}
	}
	if isSection(fields) {
		return Entry{}, []error{fmt.Errorf("the file has no sections for environments: move the entries of %q to the left; "+
			"every environment runs them all", key)}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if slices.Contains(keys, name) {
			continue
		}
		instead := keysElsewhere[name]
		if instead == "" {
			instead = "the keys are " + strings.Join(keys, ", ")
		}
		problems = append(problems, fmt.Errorf("key %q is not known: %s", name, instead))
	}
	if list, is := fields["args"].([]any); is {
		problem := fmt.Errorf("args: it is a list of %d; write the arguments with their names, such as {days: 3}", len(list))
		return Entry{}, append(problems, problem)
	}
	var written writtenEntry
	if err := node.Decode(&written); err != nil {
		return Entry{}, append(problems, err)
	}
	entry, more := written.parse(key, jobKinds, taskKinds)
	return entry, append(problems, more...)
}

// isSection reports whether an entry holds other entries, as the sections production
// and development do in Solid Queue's file.
func isSection(fields map[string]any) bool {
	for _, value := range fields {
		inner, is := value.(map[string]any)
		if _, scheduled := inner["schedule"]; !is || !scheduled {
			return false
		}
	}
	return len(fields) > 0
}

func (w writtenEntry) parse(key string, jobKinds, taskKinds jobs.Handlers) (entry Entry, problems []error) {
	entry = Entry{Key: key, Queue: w.Queue, CatchUp: w.CatchUp, Overlap: w.Overlap, Enabled: w.Enabled == nil || *w.Enabled}
	entry.Text = strings.TrimSpace(w.Schedule + " " + w.Zone)
	schedule, err := w.schedule()
	if err != nil {
		problems = append(problems, err)
	}
	entry.Schedule = schedule

	var known bool
	if entry.Handler, known = jobKinds.Find(w.Kind); known {
		entry.Backend = jobs.PG
	} else if entry.Handler, known = taskKinds.Find(w.Kind); known {
		entry.Backend = jobs.Redis
	} else {
		problems = append(problems, fmt.Errorf("there is no kind of work called %q", w.Kind))
	}
	if w.Args == nil {
		w.Args = map[string]any{}
	}
	if entry.Args, err = json.Marshal(w.Args); err == nil && known {
		err = entry.Handler.CheckWritten(entry.Args)
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("args: %w", err))
	}
	return entry, append(problems, entry.applyDefaults(known, slices.Concat(jobKinds, taskKinds).Queues())...)
}

// schedule parses the schedule. Its zone is either a word of it or a key of its own.
func (w writtenEntry) schedule() (Schedule, error) {
	zone, err := loadZone(w.Zone) // UTC when empty
	if err != nil {
		return Schedule{}, err
	}
	schedule, err := ParseSchedule(w.Schedule, zone)
	if err != nil {
		return Schedule{}, err
	}
	_, named, _ := takeZone(strings.Fields(w.Schedule)) // ParseSchedule has read it
	if named != nil && w.Zone != "" && named.String() != zone.String() {
		return Schedule{}, fmt.Errorf("zone %q: the schedule names %s; leave one of them out", w.Zone, named)
	}
	return schedule, nil
}

// applyDefaults sets the fields that the file leaves out, and checks the others. The
// queue of an unknown kind has no default.
func (e *Entry) applyDefaults(known bool, queues jobs.Queues) (problems []error) {
	if e.Queue == "" && known {
		e.Queue = e.Handler.Queue
	}
	if e.Queue != "" && !slices.Contains(queues, e.Queue) {
		problems = append(problems, fmt.Errorf("queue %q: it is one of %s", e.Queue, strings.Join(queues.Names(), ", ")))
	}
	switch e.CatchUp {
	case "":
		e.CatchUp = CatchUpLast
	case CatchUpNone, CatchUpLast, CatchUpAll:
	default:
		problems = append(problems, fmt.Errorf("catch_up %q: it is one of none, last, all", e.CatchUp))
	}
	switch e.Overlap {
	case "":
		e.Overlap = OverlapAllow
	case OverlapAllow, OverlapSkip:
	default:
		problems = append(problems, fmt.Errorf("overlap %q: it is one of allow, skip", e.Overlap))
	}
	return problems
}
