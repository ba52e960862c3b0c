package inspect

import (
	"context"
	"fmt"
	"slices"
	"time"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/keyset"
	"slipway/internal/postgres"
)

// Page is one page of a list.
type Page struct {
	Items []Item `json:"items"`
	Next  Cursor `json:"next,omitempty"` // of the next page; empty after the last one
	Read  int    `json:"read"`           // jobs and tasks that were read to find the items
}

// Cursor says where the next page of a list begins. It fits a list with the same
// filter.
type Cursor keyset.Cursor

// Check returns ErrCursor when c is not empty and no cursor.
func (c Cursor) Check() error {
	_, err := c.read()
	return err
}

// ErrCursor means that a text is no cursor, or one of another filter.
var ErrCursor = keyset.ErrCursor

// List returns one page of the jobs and tasks that a filter selects: jobs, the
// newest first, then failed and cancelled tasks, the newest first, then the tasks
// in the outbox and in Redis by state. A filter with a cause lists jobs by the time
// of their failure. Its cost does not depend on how many there are: a page can have
// fewer items than its limit, or none, and still have a next page, when little of
// what was read is what the filter selects. When Redis does not reply, List returns
// what is in PostgreSQL, and an error. Large args and all errors but the last are
// left out: see Show.
func (i *Inspector) List(ctx context.Context, filter Filter) (Page, error) {
	page, err := i.list(ctx, filter, filter, i.sources(filter))
	// The tasks in Redis are listed without PostgreSQL too, which knows what is paused.
	if unread := i.markPaused(ctx, page.Items); err == nil && !postgres.Unusable(unread) {
		err = unread
	}
	return page, err
}

// ListRedis is List for the tasks in Redis alone, without PostgreSQL: for when that
// does not reply. Its cursors are those of List. A time before now is by the clock of
// this machine. A filter with a cause or an id finds nothing.
func (i *Inspector) ListRedis(ctx context.Context, filter Filter) (Page, error) {
	if filter.Cause != "" {
		return Page{Items: []Item{}}, nil
	}
	tested, now := filter, time.Now()
	tested.Since, tested.Until = filter.Since.fixed(now), filter.Until.fixed(now)
	inPostgres := func(s source) bool { return s.queue == "" }
	return i.list(ctx, filter, tested, slices.DeleteFunc(i.sources(filter), inPostgres))
}

// Private

// list is List of some sources. Tested is the filter that work must meet, with other
// bounds of time than those of filter.
func (i *Inspector) list(ctx context.Context, filter, tested Filter, all []source) (Page, error) {
	if filter.Limit <= 0 || filter.Limit > PageSize {
		filter.Limit = PageSize
	}
	page := Page{Items: []Item{}}
	at, err := filter.begin()
	if err != nil {
		return page, err
	}
	begin := slices.IndexFunc(all, func(s source) bool { return s.name == at.Source })
	if begin < 0 {
		begin, at = 0, position{}
	}
	for n, budget := begin, newBudget(); n < len(all); {
		if len(page.Items) == filter.Limit || budget.spent() {
			at.Source, at.Filter = all[n].name, filter.hash()
			page.Next = at.cursor()
			return page, nil
		}
		part, err := all[n].list(ctx, tested, at, filter.Limit-len(page.Items), budget)
		page.Items = append(page.Items, part.items...)
		page.Read += part.read
		if err != nil {
			return page, err
		}
		at = part.next
		if !part.more {
			n, at = n+1, position{}
		}
	}
	return page, nil
}

const (
	// mostParts is the most parts that one page reads, to find tasks.
	mostParts = 50
	// mostRead is the most tasks that one page reads.
	mostRead = 5000
)

// budget bounds what one page reads. Every source takes from it.
type budget struct{ parts, tasks int }

func newBudget() *budget { return &budget{mostParts, mostRead} }

func (b *budget) spent() bool { return b.parts <= 0 || b.tasks <= 0 }

// end ends the page after this part.
func (b *budget) end() { b.parts = 0 }

// source is one part of the whole list, such as the jobs or the pending tasks of
// a queue.
type source struct {
	name  string
	list  lister
	queue string // of tasks in Redis
	state State
}

// lister returns the next part of a source with at most limit items.
type lister func(ctx context.Context, filter Filter, after position, limit int, budget *budget) (part, error)

// part is what a source returns at once.
type part struct {
	items []Item
	read  int
	next  position
	more  bool // the source may have items after these
}

// position is a Cursor as this package reads it.
type position struct {
	Filter  string                `json:"filter,omitempty"` // hash of the filter of the list
	Source  string                `json:"source"`
	Job     jobPlace              `json:"job,omitzero"`
	Archive taskqueue.FailedPlace `json:"archive,omitzero"`
	Task    taskqueue.Place       `json:"task,omitzero"`
}

func (p position) cursor() Cursor { return Cursor(keyset.New(p)) }

func (c Cursor) read() (position, error) {
	var p position
	if c == "" {
		return p, nil
	}
	if err := keyset.Cursor(c).Read(&p); err != nil {
		return position{}, err
	}
	if p.Source == "" {
		return position{}, fmt.Errorf("%q: %w", string(c), ErrCursor)
	}
	return p, nil
}

// begin returns where the page of a filter begins.
func (f Filter) begin() (position, error) {
	at, err := f.After.read()
	if err == nil && f.After != "" && at.Filter != f.hash() {
		err = fmt.Errorf("this cursor is of a list with another filter: begin at its first page: %w", ErrCursor)
	}
	return at, err
}

// sources are the sources that a filter selects, in the order of the list.
func (i *Inspector) sources(filter Filter) []source {
	var all []source
	wanted := func(state State) bool { return filter.State == "" || filter.State == state }
	if filter.Backend != jobs.Redis {
		all = append(all, source{name: "jobs", list: i.listJobs})
	}
	if filter.Backend == jobs.PG || filter.ofJobsOnly() {
		return all
	}
	if filter.ID != "" {
		if _, _, is := taskID(filter.ID); is {
			all = append(all, source{name: "task", list: i.listTask})
		}
		return all
	}
	if wanted(Failed) || wanted(Cancelled) && filter.Cause == "" {
		all = append(all, source{name: "archive", list: i.listFailedTasks})
	}
	if wanted(Pending) && filter.Cause == "" {
		all = append(all, source{name: "outbox", list: i.listOutbox})
	}
	for _, state := range States {
		if _, inRedis := taskStates[state]; !inRedis || !wanted(state) || filter.Cause != "" && state != Retrying {
			continue
		}
		for _, queue := range i.taskQueueNames(filter) {
			all = append(all, source{"redis:" + string(state) + ":" + queue, i.lister(queue, state), queue, state})
		}
	}
	return all
}

func (i *Inspector) taskQueueNames(filter Filter) []string {
	var names []string
	for _, queue := range i.queues {
		if filter.Queue == "" || filter.Queue == string(queue) {
			names = append(names, string(queue))
		}
	}
	return names
}
