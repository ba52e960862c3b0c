package inspect

import (
	"context"
	"fmt"

	"slipway/internal/jobs/taskqueue"
)

// Count counts what a filter selects, up to most. There are more when it says so:
// more than most, or more than it may read.
func (i *Inspector) Count(ctx context.Context, filter Filter, most int) (n int, more bool, err error) {
	filter.After = ""
	budget := newBudget()
	for _, s := range i.sources(filter) {
		if n > most || budget.spent() {
			return min(n, most), true, nil
		}
		counted, rest, err := i.countSource(ctx, s, filter, most-n+1, budget)
		n, more = n+counted, more || rest
		if err != nil {
			return n, true, err
		}
	}
	return min(n, most), more || n > most, nil
}

// CountBulk counts what a bulk action will take.
func (i *Inspector) CountBulk(ctx context.Context, bulk Bulk, most int) (n int, more bool, err error) {
	for _, state := range bulk.states() {
		bulk.Filter.State = state
		counted, rest, err := i.Count(ctx, bulk.Filter, most)
		if err != nil {
			return n, true, err
		}
		n, more = n+counted, more || rest
	}
	return min(n, most), more || n > most, nil
}

// Private

// countSource counts up to most items of one source. There is a rest when it stops
// before the end.
func (i *Inspector) countSource(ctx context.Context, s source, filter Filter, most int, budget *budget) (n int, rest bool, err error) {
	switch {
	case s.name == "jobs":
		walk := jobWalk{filter: filter, limit: most}
		if filter.State != "" {
			walk.states = riverStates[filter.State]
		}
		found, err := i.walkJobs(ctx, walk)
		return len(found.ids), found.more, err
	case s.name == "archive":
		failed := i.failedFilter(filter, taskqueue.FailedPlace{}, most)
		failed.Bare = true
		found, err := i.failed.List(ctx, failed)
		return len(found.IDs), found.More, err
	case s.state != "" && !filter.testsTasks():
		if i.tasks == nil {
			return 0, false, noRedis(filter)
		}
		places, err := i.tasks.Places(ctx, s.queue, taskStates[s.state], taskqueue.Place{}, most)
		if err != nil {
			return 0, false, fmt.Errorf("list tasks: %w", err)
		}
		return len(places), len(places) == most, nil
	}
	for at, more := (position{}), true; more; {
		if n >= most || budget.spent() {
			return n, true, nil
		}
		part, err := s.list(ctx, filter, at, PageSize, budget)
		if err != nil {
			return n, true, err
		}
		n, at, more = n+len(part.items), part.next, part.more
	}
	return n, false, nil
}

// testsTasks reports whether tasks in Redis must be read to find those that meet the
// filter.
func (f Filter) testsTasks() bool { return f.Kind != "" || f.needsReading() || f.Cause != "" }
