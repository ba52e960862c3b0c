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
	if b.Filter.ofJobsOnly() {
		return nil
	}
	if b.Filter.ID != "" {
		return b.noteAll(ctx, b.listTask, PageSize, note)
	}
	for _, state := range b.states {
		if state == Pending && b.Filter.Cause == "" {
			if err := b.noteAll(ctx, b.listOutbox, PageSize, note); err != nil {
				return err
			}
		}
		if _, inRedis := taskStates[state]; !inRedis || b.Filter.Cause != "" && state != Retrying {
			continue
		}
		for _, queue := range b.taskQueueNames(b.Filter) {
			list, size := b.lister(queue, state), PageSize
			if !b.Filter.testsTasks() {
				list, size = b.idLister(queue, state), idsAtOnce
			}
			if err := b.noteAll(ctx, list, size, note); err != nil {
				return err
			}
		}
	}
	return nil
}

// noteAll notes all that a source lists.
func (b *bulkRun) noteAll(ctx context.Context, list lister, size int, note func(ID)) error {
	for after, more := (position{}), true; more; {
		if err := ctx.Err(); err != nil {
			return err
		}
		found, err := list(ctx, b.Filter, after, size, newBudget())
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
func (b *bulkRun) idLister(queue string, state State) lister {
	return func(ctx context.Context, _ Filter, after position, limit int, _ *budget) (part, error) {
		places, err := b.tasks.Places(ctx, queue, taskStates[state], after.Task, limit)
		if err != nil {
			return part{}, fmt.Errorf("list tasks: %w", err)
		}
		p := part{next: after, more: len(places) == limit}
		for _, place := range places {
			p.next.Task = place
			p.items = append(p.items, Item{ID: ID{Backend: jobs.Redis, Queue: queue, Task: place.ID}})
		}
		return p, nil
	}
}
