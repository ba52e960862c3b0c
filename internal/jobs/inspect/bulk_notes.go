package inspect

import (
	"context"
	"fmt"

	"slipway/internal/jobs"
)

// Private

// idsAtOnce is how many ids of tasks are read from Redis at once: few enough not
// to block it.
const idsAtOnce = 5000

// noteTasks notes the ids of the tasks that the action is for. Workers and the
// action itself change the lists in Redis while it runs.
func (b *bulkRun) noteTasks(ctx context.Context) error {
	seen := map[ID]bool{}
	note := func(id ID) {
		if !seen[id] {
			seen[id] = true
			b.tasksThen = append(b.tasksThen, id)
		}
	}
	for _, state := range b.states {
		if state == Pending {
			if err := b.noteOutbox(ctx, note); err != nil {
				return err
			}
		}
		if _, inRedis := taskStates[state]; !inRedis {
			continue
		}
		for _, queue := range b.taskQueueNames(b.Filter) {
			if err := b.noteQueue(ctx, queue, state, note); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bulkRun) noteOutbox(ctx context.Context, note func(ID)) error {
	for after, more := (position{}), true; more; {
		found, err := b.listOutbox(ctx, b.Filter, after, PageSize)
		if err != nil {
			return err
		}
		for _, item := range found.items {
			note(item.ID)
		}
		after, more = found.next, found.more
	}
	return nil
}

func (b *bulkRun) noteQueue(ctx context.Context, queue string, state State, note func(ID)) error {
	list, size := b.lister(queue, state), PageSize
	if b.Filter.Kind == "" {
		list, size = b.idLister(queue, state), idsAtOnce
	}
	for after, more := (position{}), true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := list(ctx, b.Filter, after, size)
		if err != nil {
			return err
		}
		for _, item := range found.items {
			note(item.ID)
		}
		after, more = found.next, found.more
	}
	return nil
}

// idLister is lister for ids alone, which cost much less.
func (b *bulkRun) idLister(queue string, state State) func(context.Context, Filter, position, int) (part, error) {
	return func(ctx context.Context, _ Filter, after position, limit int) (part, error) {
		ids, next, err := b.tasks.IDs(ctx, queue, taskStates[state], after.Task, limit)
		if err != nil {
			return part{}, fmt.Errorf("list tasks: %w", err)
		}
		p := part{next: position{Task: next}, more: len(ids) == limit}
		for _, id := range ids {
			p.items = append(p.items, Item{ID: ID{Backend: jobs.Redis, Queue: queue, Task: id}})
		}
		return p, nil
	}
}
