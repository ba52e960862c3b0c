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

// bench is one run. What is asked of the backends themselves goes through db
// and redis.
type bench struct {
	options  jobsOptions
	settings settings
	db       *pgxpool.Pool
	redis    *redis.Client
	out      io.Writer
	targets  []target
}

// target is what design asks for, and what was found.
type target struct {
	text string
	good bool
}

func benchJobs(ctx context.Context, out io.Writer, options jobsOptions) error {
	started := time.Now()
	b := &bench{options: options, out: out}
	var err error
	if b.settings, err = readSettings(); err != nil {
		return err
	}
	if said, err := exec.CommandContext(ctx, options.app, "migrate").CombinedOutput(); err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, said)
	}
	if b.db, err = openDatabase(ctx, b.settings.pg); err != nil {
		return err
	}
	defer b.db.Close()
	if b.redis, err = openRedis(b.settings.redis); err != nil {
		return err
	}
	defer b.redis.Close()
	fmt.Fprintf(out, "Load before: %s. Only ratios count: on a busy machine everything is slow alike.\n", load())
	for _, part := range []struct {
		name    string
		measure func(context.Context) error
	}{{"drain", b.drain}, {"enqueue", b.enqueue}, {"pickup", b.pickUp}, {"idle", b.idleRoles}, {"soak", b.soak}, {"torture", b.torture}} {
		if len(options.only) > 0 && !slices.Contains(options.only, part.name) {
			continue
		}
		if err := part.measure(ctx); err != nil {
			return err
		}
	}
	b.section("Targets", "", "")
	for _, one := range b.targets {
		verdict := "met   "
		if !one.good {
			verdict = "MISSED"
		}
		fmt.Fprintf(out, "  %s  %s\n", verdict, one.text)
	}
	fmt.Fprintf(out, "\nTook %s. Load after: %s.\n", time.Since(started).Round(time.Second), load())
	return nil
}

// Private

func (b *bench) target(good bool, text string, values ...any) {
	b.targets = append(b.targets, target{fmt.Sprintf(text, values...), good})
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

// load is how many programs wanted to run, on average of the last minute.
func load() string {
	said, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(said))[0]
}
