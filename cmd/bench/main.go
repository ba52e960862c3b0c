// Command bench compares the runtime with the libraries that it uses, in one run on
// one machine. It is for developers, who run it by bin/bench.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	root := &cobra.Command{
		Use: "bench", Short: "Compare the runtime with the libraries that it uses", SilenceErrors: true, SilenceUsage: true,
	}
	root.AddCommand(
		newJobsCommand(), newWorkCommand(), newWebCommand(), newSearchCommand(), newStreamsCommand(), newEdgeCommand(),
		newPageCommand(), newRawPageCommand(),
	)
	return root.ExecuteContext(ctx)
}

// Private

func newJobsCommand() *cobra.Command {
	var options jobsOptions
	command := &cobra.Command{
		Use:   "jobs",
		Short: "Measure enqueueing, draining, pick-up, memory and loss of jobs and tasks",
		Long: `Compare jobs (PostgreSQL) and tasks (Redis) of the runtime, with its metrics,
reporting, table of processes and log, with plain River and plain asynq. The
contestants take turns in each round; only medians and ratios count. All data in
DATABASE_URL and REDIS_URL is deleted; bin/bench starts servers for that. The
environment variables of worker-pg and worker-redis apply, so you can try a setting:
TASKS_SERVERS=2 bin/bench jobs

The exit code is 0 when everything was measured, even if a target was missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchJobs(c.Context(), c.OutOrStdout(), options) },
	}
	flags := command.Flags()
	flags.StringSliceVar(&options.only, "only", nil, "parts of the run: drain, enqueue, pickup, idle, soak, torture; all when empty")
	flags.IntVar(&options.rounds, "rounds", 3, "number of rounds of drain and enqueue")
	flags.DurationVar(&options.soak, "soak", 2*time.Minute, "duration of mixed work during which memory is measured; 0 skips it")
	flags.DurationVar(&options.torture, "torture", 0,
		"duration of work during which workers, Redis and PostgreSQL are killed and frozen; 0 skips it")
	flags.StringVar(&options.app, "app", "tmp/bench/app", "path of the program app")
	return command
}
