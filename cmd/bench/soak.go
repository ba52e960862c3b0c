package main

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
)

const (
	soakRound = 100 * time.Millisecond
	soakJobs  = 30  // in a round
	soakTasks = 100 // in a round
)

// soak runs both workers with mixed work and compares their memory after a quarter of
// the time, when caches and pools are full, with that at the end: it must not grow.
func (b *bench) soak(ctx context.Context) error {
	if b.options.soak == 0 {
		return nil
	}
	if err := b.empty(ctx); err != nil {
		return err
	}
	queue, tasks, err := b.producers()
	if err != nil {
		return err
	}
	defer tasks.Close()
	names := []string{"ours-pg", "ours-redis"}
	workers := make([]*worker, len(names))
	for i, name := range names {
		if workers[i], err = launch(ctx, name, 0); err != nil {
			return err
		}
		defer workers[i].kill()
	}

	start, err := b.soakUntil(ctx, time.Now().Add(b.options.soak/4), queue, tasks, workers)
	if err != nil {
		return err
	}
	end, err := b.soakUntil(ctx, time.Now().Add(b.options.soak*3/4), queue, tasks, workers)
	if err != nil {
		return err
	}
	b.section(fmt.Sprintf("Mixed work for %s", b.options.soak),
		"runs", "CPU %", "MB, early", "MB, end", "heap, early", "heap, end")
	for i, name := range names {
		one, err := find(name)
		if err != nil {
			return err
		}
		early, late := start[i], end[i]
		b.row(one.title, float64(late.Done), (late.CPU-early.CPU)/(late.Seconds-early.Seconds)*100,
			early.RSS, late.RSS, early.Heap, late.Heap)
		b.target(late.RSS <= 35, "%s takes %.0f MB at the end of mixed work (35)", one.title, late.RSS)
		b.target(late.Heap <= early.Heap+2, "the heap of %s grew from %.1f to %.1f MB (by no more than 2)",
			one.title, early.Heap, late.Heap)
	}
	return nil
}

// Private

// soakUntil enqueues mixed work until end and returns a report of each worker.
func (b *bench) soakUntil(
	ctx context.Context, end time.Time, queue *jobs.Jobs, tasks *jobs.Tasks, workers []*worker,
) ([]report, error) {
	for number := 0; time.Now().Before(end); {
		var work []jobs.Args
		for range soakTasks {
			number++
			work = append(work, mixed{number})
		}
		enqueueJobs := func(tx pgx.Tx) error { return queue.Enqueue(ctx, tx, work[:soakJobs]...) }
		if err := pgx.BeginFunc(ctx, b.db, enqueueJobs); err != nil {
			return nil, err
		}
		if !tasks.Enqueue(ctx, work...) {
			return nil, errDropped
		}
		if err := pause(ctx, soakRound); err != nil {
			return nil, err
		}
	}
	var reports []report
	for _, worker := range workers {
		r, err := worker.requestReport()
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}
