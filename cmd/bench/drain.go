package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"golang.org/x/sync/errgroup"

	"slipway/internal/jobs"
)

// drained are the figures of one contestant.
type drained struct{ rate, cpu, rss series }

// drain measures how fast no-op jobs that wait already are worked: from the
// start of the worker until the backend has them all as done.
func (b *bench) drain(ctx context.Context) error {
	found := map[string]*drained{}
	for _, one := range contestants {
		found[one.name] = &drained{}
	}
	for round := range b.options.rounds {
		order := slices.Clone(contestants)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, one := range order {
			if err := b.drainOnce(ctx, one, found[one.name]); err != nil {
				return fmt.Errorf("drain %s: %w", one.name, err)
			}
		}
	}
	b.section(fmt.Sprintf("Drain of no-op work, medians of %d rounds", b.options.rounds), "jobs/s", "min", "max", "CPU us/job", "MB", "ours/this", "in CPU")
	for _, one := range contestants {
		figures, ours := found[one.name], found["ours-"+string(one.backend)]
		b.row(one.title, figures.rate.median(), slices.Min(figures.rate), slices.Max(figures.rate), figures.cpu.median(), figures.rss.median(), ours.rate.over(figures.rate).median(), ours.cpu.over(figures.cpu).median())
	}
	b.judgeDrain(found)
	return nil
}

// Private

// solidQueue is what two workers of three threads each of Solid Queue drained a
// second, measured elsewhere and at another time.
const solidQueue = 478

func (b *bench) judgeDrain(found map[string]*drained) {
	alike := found["ours-pg"].rate.over(found["river-alike"].rate).median()
	one := found["ours-redis"].rate.over(found["asynq-one"].rate).median()
	rate := found["ours-pg"].rate.median()
	b.target(alike >= 0.97, "jobs drain at %.2f of River set up alike (0.97)", alike)
	b.target(rate >= 55*solidQueue, "jobs drain at %.0f times Solid Queue's %d/s (55; absolute, so a remark: it is the machine's too)", rate/solidQueue, solidQueue)
	b.target(one >= 2, "tasks drain at %.2f of one asynq server (2)", one)
}

func (b *bench) drainOnce(ctx context.Context, one contestant, figures *drained) error {
	if err := b.empty(ctx); err != nil {
		return err
	}
	if err := b.fill(ctx, one.backend, one.many); err != nil {
		return err
	}
	worker, err := launch(ctx, one.name, one.many)
	if err != nil {
		return err
	}
	defer worker.end()
	r, err := worker.report()
	if err != nil {
		return err
	}
	figures.rate = append(figures.rate, float64(one.many)/r.Seconds)
	figures.cpu = append(figures.cpu, r.CPU/float64(one.many)*1e6)
	figures.rss = append(figures.rss, r.RSS)
	return nil
}

// fill enqueues work as fast as the library itself can.
func (b *bench) fill(ctx context.Context, backend jobs.Backend, many int) error {
	if backend == jobs.Redis {
		return b.fillRedis(ctx, many)
	}
	client, err := river.NewClient(riverpgxv5.New(b.db), &river.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	inserts := make([]river.InsertManyParams, many)
	for i := range inserts {
		inserts[i] = river.InsertManyParams{Args: noop{}, InsertOpts: &river.InsertOpts{Queue: string(jobs.Default)}}
	}
	if _, err = client.InsertManyFast(ctx, inserts); err != nil {
		return err
	}
	_, err = b.db.Exec(ctx, `ANALYZE river_job`) // at a time of ours, not of autovacuum's
	return err
}

func (b *bench) fillRedis(ctx context.Context, many int) error {
	const side = 8
	client := asynq.NewClientFromRedisClient(b.redis)
	payload, err := json.Marshal(noop{})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range side {
		group.Go(func() error {
			for range many / side {
				if _, err := client.EnqueueContext(ctx, asynq.NewTask(noop{}.Kind(), payload), asynq.Queue(string(jobs.Default)), asynq.Timeout(time.Minute)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
