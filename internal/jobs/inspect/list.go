package inspect

import (
	"context"
	"fmt"
	"slices"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/keyset"
)

// PageSize is the most jobs and tasks of one page.
const PageSize = 500

// Filter selects jobs and tasks. Empty fields select everything.
type Filter struct {
	Backend jobs.Backend
	Queue   string
	Kind    string
	State   State
	Limit   int    // at most PageSize; default: PageSize
	After   Cursor // the Next of the page before; default: the first page
}

// Page is one page of a list.
type Page struct {
	Items []Item `json:"items"`
	Next  Cursor `json:"next,omitempty"` // of the next page; empty after the last one
}

// Cursor says where the next page of a list begins. It fits a list with the same
// filter.
type Cursor keyset.Cursor

// Check returns ErrCursor when c is not empty and no cursor.
func (c Cursor) Check() error {
	_, err := c.read()
	return err
}

// ErrCursor means that a text is no cursor.
var ErrCursor = keyset.ErrCursor

// List returns one page of the jobs and tasks that a filter selects: jobs, the
// newest first, then failed and cancelled tasks, the newest first, then the tasks
// in the outbox and in Redis by state. Its cost does not depend on how many there
// are. A page can have fewer items than its limit and still have a next page, when
// few of the tasks in Redis are of the kind. When Redis does not reply, List
// returns what is in PostgreSQL, and an error.
func (i *Inspector) List(ctx context.Context, filter Filter) (Page, error) {
	if filter.Limit <= 0 || filter.Limit > PageSize {
		filter.Limit = PageSize
	}
	at, err := filter.After.read()
	if err != nil {
		return Page{Items: []Item{}}, err
	}
	page, all := Page{Items: []Item{}}, i.sources(filter)
	begin := max(0, slices.IndexFunc(all, func(s source) bool { return s.name == at.Source }))
	for n, budget := begin, mostParts; n < len(all); budget-- {
		if len(page.Items) == filter.Limit || budget == 0 {
			at.Source = all[n].name
			page.Next = at.cursor()
			return page, nil
		}
		part, err := all[n].list(ctx, filter, at, filter.Limit-len(page.Items))
		page.Items = append(page.Items, part.items...)
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

// Private

// mostParts is the most parts that one page reads, to find tasks of a kind.
const mostParts = 50

// source is one part of the whole list, such as the jobs or the pending tasks of
// a queue.
type source struct {
	name string
	list func(ctx context.Context, filter Filter, after position, limit int) (part, error)
}

// part is what a source returns at once.
type part struct {
	items []Item
	next  position
	more  bool // the source may have items after these
}

// position is a Cursor as this package reads it.
type position struct {
	Source  string                `json:"source"`
	Job     int64                 `json:"job,omitempty"`
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

// sources are the sources that a filter selects, in the order of the list.
func (i *Inspector) sources(filter Filter) []source {
	var all []source
	wanted := func(state State) bool { return filter.State == "" || filter.State == state }
	if filter.Backend != jobs.Redis {
		all = append(all, source{"jobs", i.listJobs})
	}
	if filter.Backend == jobs.PG {
		return all
	}
	if wanted(Failed) || wanted(Cancelled) {
		all = append(all, source{"archive", i.listFailedTasks})
	}
	if wanted(Pending) {
		all = append(all, source{"outbox", i.listOutbox})
	}
	for _, state := range States {
		if _, inRedis := taskStates[state]; !inRedis || !wanted(state) {
			continue
		}
		for _, queue := range i.taskQueueNames(filter) {
			all = append(all, source{"redis:" + string(state) + ":" + queue, i.lister(queue, state)})
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
