package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
)

func newJobsRecurringCommand(app application) *cobra.Command {
	command := &cobra.Command{
		Use:     "recurring",
		Short:   "Show the recurring work",
		Long:    "Show the work of config/recurring.yml: when it ran and when it will.",
		Example: "  app jobs recurring\n  app jobs recurring run KEY",
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				entries, err := session.inspector.Recurring(ctx)
				if err != nil {
					return err
				}
				return printRecurring(c, entries)
			})
		},
	}
	command.AddCommand(newJobsRecurringRunCommand(app))
	return command
}

func newJobsRecurringRunCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:     "run KEY",
		Short:   "Run recurring work now, besides its schedule",
		Example: "  app jobs recurring run KEY",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				entries, err := app.schedules(session.work)
				if err != nil {
					return err
				}
				scheduler := recurring.NewScheduler(session.db, session.jobs, session.tasks, entries, session.log)
				if err := scheduler.RunNow(ctx, args[0]); err != nil {
					return err
				}
				return printResult(c, "enqueued: "+args[0], map[string]any{"enqueued": args[0]})
			})
		},
	}
}

// Private

func printRecurring(c *cobra.Command, entries []inspect.Recurring) error {
	rows := make([][]any, len(entries))
	for i, entry := range entries {
		off := ""
		if !entry.Enabled {
			off = "off"
		}
		rows[i] = []any{entry.Key, entry.Backend, entry.Schedule, at(entry.Last), at(entry.Next), entry.Runs, entry.Skipped, off}
	}
	return printTable(c, entries, "KEY\tBACKEND\tSCHEDULE\tLAST\tNEXT\tRUNS\tSKIPPED\t", rows)
}
