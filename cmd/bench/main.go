// Command bench measures the runtime beside the libraries that it is made of,
// in one run on one machine. It is no part of the product: bin/bench runs it.
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
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	root := &cobra.Command{Use: "bench", Short: "Measure the runtime beside the libraries that it is made of", SilenceErrors: true, SilenceUsage: true}
	root.AddCommand(newJobsCommand(), newWorkCommand())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// Private

func newJobsCommand() *cobra.Command {
	var options jobsOptions
	command := &cobra.Command{
		Use:   "jobs",
		Short: "Enqueueing, draining, pick-up, memory and loss of jobs and tasks",
		Long: `Measure jobs (PostgreSQL) and tasks (Redis) through the runtime, with metrics,
reporting, the table of processes and a log, beside raw River and raw asynq: rounds
take turns, medians and ratios count. DATABASE_URL and REDIS_URL name servers that
may be emptied; bin/bench starts some. What worker-pg and worker-redis read from the
environment holds here too, so a setting can be tried: TASKS_SERVERS=2 bin/bench jobs

Exit code 0 says that everything was measured, also where a target was missed.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return benchJobs(c.Context(), c.OutOrStdout(), options) },
	}
	flags := command.Flags()
	flags.StringSliceVar(&options.only, "only", nil, "parts of the run: drain, enqueue, pickup, idle, soak, torture; all when empty")
	flags.IntVar(&options.rounds, "rounds", 3, "how often each drain and each way to enqueue is measured")
	flags.DurationVar(&options.soak, "soak", 2*time.Minute, "how long mixed work goes on while memory is watched; 0: not at all")
	flags.DurationVar(&options.torture, "torture", 0, "how long workers, Redis and PostgreSQL are killed and frozen under work; 0: not at all")
	flags.StringVar(&options.app, "app", "tmp/bench/app", "the program that migrates, and whose idle workers are measured")
	return command
}
