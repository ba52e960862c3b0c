package main

import (
	"context"
	"fmt"
	"slices"
	"time"

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
	command.AddCommand(newJobsRecurringRunCommand(app), newJobsRecurringNextCommand(app))
	return command
}

func newJobsRecurringNextCommand(app application) *cobra.Command {
	var from string
	var count int
	command := &cobra.Command{
		Use:   "next KEY",
		Short: "Show when recurring work will run",
		Long: "Show the next runs of one entry of config/recurring.yml, in its time zone and in UTC. With\n" +
			"--from, see for example what the entry does in a night in which clocks change. Connects to nothing.",
		Example: "  app jobs recurring next KEY\n  app jobs recurring next KEY --from 2027-03-27T12:00:00Z --count 3",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			after := time.Now()
			if from != "" {
				var err error
				if after, err = time.Parse(time.RFC3339, from); err != nil {
					return &usageError{err: fmt.Errorf("--from %q is no time such as 2027-03-27T12:00:00Z", from), usage: c.UsageString()}
				}
			}
			work, err := app.declared()
			if err != nil {
				return err
			}
			entries, err := app.schedules(work)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(entries, func(entry recurring.Entry) bool { return entry.Key == args[0] })
			if i < 0 {
				return fmt.Errorf("%w: %s", recurring.ErrNoSuchEntry, args[0])
			}
			return printNextRuns(c, entries[i].Schedule, after, min(count, 1000))
		},
	}
	command.Flags().StringVar(&from, "from", "", "show the runs after this time (default: now)")
	command.Flags().IntVar(&count, "count", 10, "number of runs to show, at most 1000")
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

func printNextRuns(c *cobra.Command, schedule recurring.Schedule, after time.Time, count int) error {
	var runs []time.Time
	var rows [][]any
	for at := schedule.Next(after); !at.IsZero() && len(runs) < count; at = schedule.Next(at) {
		runs = append(runs, at)
		rows = append(rows, []any{at.In(schedule.Zone()).Format("Mon 2006-01-02 15:04:05 MST"), at.Format(time.RFC3339)})
	}
	return printTable(c, runs, "NEXT\tUTC", rows)
}

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
