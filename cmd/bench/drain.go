package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"golang.org/x/sync/errgroup"

	"slipway/internal/jobs"
)

// drained are the measurements of one contestant, one value a round.
type drained struct{ rate, cpu, store, rss series }

// drain measures how fast a worker completes no-op jobs that are enqueued before its
// start: from its start until the backend has stored all as completed.
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
	b.section(fmt.Sprintf("Drain of no-op work, medians of %d rounds", b.options.rounds),
		"jobs/s", "min", "max", "CPU us/job", "store's us", "MB", "ours/this", "in CPU")
	for _, one := range contestants {
		this, ours := found[one.name], found["ours-"+string(one.backend)]
		b.row(one.title, this.rate.median(), slices.Min(this.rate), slices.Max(this.rate),
			this.cpu.median(), this.store.median(), this.rss.median(),
			ours.rate.over(this.rate).median(), ours.cpu.over(this.cpu).median())
	}
	b.judgeDrain(found)
	return nil
}

// Private

// solidQueue is the rate of Solid Queue with two workers of three threads each, in
// jobs a second, from a separate, earlier measurement.
const solidQueue = 478

func (b *bench) judgeDrain(found map[string]*drained) {
	alike := found["ours-pg"].rate.over(found["river-alike"].rate).median()
	best := min(found["ours-pg"].rate.over(found["river-500"].rate).median(), found["ours-pg"].rate.over(found["river-1000"].rate).median())
	one := found["ours-redis"].rate.over(found["asynq-one"].rate).median()
	four := found["ours-redis"].rate.over(found["asynq-four"].rate).median()
	rate := found["ours-pg"].rate.median()
	b.target(alike >= 0.97, "jobs drain at %.2f of River set up alike (0.97)", alike)
	b.target(best >= 0.9, "jobs drain at %.2f of River at its best (0.9)", best)
	b.target(rate >= 55*solidQueue,
		"jobs drain at %.0f times Solid Queue's %d/s (55; an absolute rate, which depends on the machine)", rate/solidQueue, solidQueue)
	b.target(one >= 2, "tasks drain at %.2f of one asynq server (2)", one)
	b.target(four >= 1.1, "tasks drain at %.2f of four asynq servers (1.1)", four)
}

func (b *bench) drainOnce(ctx context.Context, one contestant, this *drained) error {
	if err := b.empty(ctx); err != nil {
		return err
	}
	if err := b.fill(ctx, one.backend, one.many); err != nil {
		return err
	}
	stored := b.storeCPU(one.backend)
	worker, err := launch(ctx, one.name, one.many)
	if err != nil {
		return err
	}
	defer worker.kill()
	r, err := worker.report()
	if err != nil {
		return err
	}
	this.rate = append(this.rate, float64(one.many)/r.Seconds)
	this.cpu = append(this.cpu, r.CPU/float64(one.many)*1e6)
	this.store = append(this.store, (b.storeCPU(one.backend)-stored)/float64(one.many)*1e6)
	this.rss = append(this.rss, r.RSS)
	return nil
}

// storeCPU returns the CPU seconds of the servers of a backend on this machine, which
// dev exec has started beside this process.
func (b *bench) storeCPU(backend jobs.Backend) (seconds float64) {
	name := map[jobs.Backend]string{jobs.PG: "postgres", jobs.Redis: "redis-server"}[backend]
	for _, sibling := range childrenOf(os.Getppid()) {
		if command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", sibling)); strings.HasPrefix(string(command), name) {
			seconds += cpuOfTree(sibling)
		}
	}
	return seconds
}

// fill enqueues no-op jobs with the fastest method of the library.
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
	_, err = b.db.Exec(ctx, `ANALYZE river_job`) // now, so that autovacuum does not do it during the measurement
	return err
}

func (b *bench) fillRedis(ctx context.Context, many int) error {
	const producers = 8
	client := asynq.NewClientFromRedisClient(b.redis)
	payload, err := json.Marshal(noop{})
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range producers {
		group.Go(func() error {
			for range many / producers {
				task := asynq.NewTask(noop{}.Kind(), payload)
				if _, err := client.EnqueueContext(ctx, task, asynq.Queue(string(jobs.Default)), asynq.Timeout(time.Minute)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}
