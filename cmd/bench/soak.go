package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

// soakPace is how much work comes in a soak, in ten times as many rounds a
// second as it names jobs and tasks.
const (
	soakRound = 100 * time.Millisecond
	soakJobs  = 30
	soakTasks = 100
)

// soak gives both workers mixed work for a while and looks at their memory,
// which must not grow: after a quarter of the time, when caches and pools are
// full, and at the end.
func (b *bench) soak(ctx context.Context) error {
	if b.options.soak == 0 {
		return nil
	}
	if err := b.empty(ctx); err != nil {
		return err
	}
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	queue, err := jobs.NewJobs(b.db, metrics)
	if err != nil {
		return err
	}
	guard := failopen.NewGuard(guardOptions(b.settings.redis), telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry()))
	tasks, err := jobs.NewTasks(guard, queue, metrics)
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
		defer workers[i].end()
	}

	start, err := b.soakUntil(ctx, time.Now().Add(b.options.soak/4), queue, tasks, workers)
	if err != nil {
		return err
	}
	end, err := b.soakUntil(ctx, time.Now().Add(b.options.soak*3/4), queue, tasks, workers)
	if err != nil {
		return err
	}
	b.section(fmt.Sprintf("Mixed work for %s", b.options.soak), "runs", "CPU %", "MB, early", "MB, end", "heap, early", "heap, end")
	for i, name := range names {
		one, err := find(name)
		if err != nil {
			return err
		}
		b.row(one.title, float64(end[i].Done), (end[i].CPU-start[i].CPU)/(end[i].Seconds-start[i].Seconds)*100, start[i].RSS, end[i].RSS, start[i].Heap, end[i].Heap)
		b.target(end[i].RSS <= 35, "%s takes %.0f MB at the end of mixed work (35)", one.title, end[i].RSS)
		b.target(end[i].Heap <= start[i].Heap+2, "the heap of %s grew from %.1f to %.1f MB (by no more than 2)", one.title, start[i].Heap, end[i].Heap)
	}
	return nil
}

// Private

func (b *bench) soakUntil(ctx context.Context, end time.Time, queue *jobs.Jobs, tasks *jobs.Tasks, workers []*worker) ([]report, error) {
	for number := 0; time.Now().Before(end); {
		var work []jobs.Args
		for range soakTasks {
			number++
			work = append(work, mixed{number})
		}
		if err := pgx.BeginFunc(ctx, b.db, func(tx pgx.Tx) error { return queue.Enqueue(ctx, tx, work[:soakJobs]...) }); err != nil {
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
		r, err := worker.ask()
		if err != nil {
			return nil, err
		}
		reports = append(reports, r)
	}
	return reports, nil
}
