package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

type jobsOptions struct {
	only    []string
	rounds  int
	soak    time.Duration
	torture time.Duration
	app     string
}

// bench is one run of `bench jobs`. It prepares and reads the backends through db and
// redis.
type bench struct {
	options  jobsOptions
	settings settings
	db       *pgxpool.Pool
	redis    *redis.Client
	sheet
}

func benchJobs(ctx context.Context, out io.Writer, options jobsOptions) error {
	started := time.Now()
	b := &bench{options: options, sheet: sheet{out: out}}
	var err error
	if b.settings, err = readSettings(); err != nil {
		return err
	}
	if output, err := exec.CommandContext(ctx, options.app, "migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, output)
	}
	if b.db, err = openDatabase(ctx, b.settings.pg); err != nil {
		return err
	}
	defer b.db.Close()
	if b.redis, err = openRedis(b.settings.redis); err != nil {
		return err
	}
	defer b.redis.Close()
	fmt.Fprintf(out, "Load before: %s. Only ratios count, because a busy machine slows down everything.\n", load())
	if err := b.run(ctx); err != nil {
		return err
	}
	b.printTargets()
	fmt.Fprintf(out, "\nTook %s. Load after: %s.\n", time.Since(started).Round(time.Second), load())
	return nil
}

// Private

// part is a part of a run that can be selected.
type part struct {
	name    string
	measure func(context.Context) error
}

// measureIf measures the part when it is one of the selected ones, or none is selected.
func (p part) measureIf(ctx context.Context, selected []string) error {
	if len(selected) > 0 && !slices.Contains(selected, p.name) {
		return nil
	}
	return p.measure(ctx)
}

// run runs the selected parts.
func (b *bench) run(ctx context.Context) error {
	for _, part := range []part{
		{"drain", b.drain}, {"enqueue", b.enqueue}, {"pickup", b.pickUp},
		{"idle", b.idleRoles}, {"soak", b.soak}, {"torture", b.torture},
	} {
		if err := part.measureIf(ctx, b.options.only); err != nil {
			return err
		}
	}
	return nil
}

// empty removes all work and all workers from both backends.
func (b *bench) empty(ctx context.Context) error {
	if _, err := b.db.Exec(ctx, `TRUNCATE river_job, river_leader, job_processes, failed_tasks`); err != nil {
		return fmt.Errorf("empty the database: %w", err)
	}
	if err := b.redis.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("empty Redis: %w", err)
	}
	return nil
}

// load returns the load average of the last minute.
func load() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(averages))[0]
}
