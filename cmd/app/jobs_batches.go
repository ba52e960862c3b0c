package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"slipway/internal/jobs/batch"
)

func newJobsBatchesCommand(app application) *cobra.Command {
	var filter batch.Filter
	command := &cobra.Command{
		Use:   "batches",
		Short: "Show batches of jobs, and act on them",
		Long: "Show batches of jobs, the newest first, with what has become of their jobs. Workers apply a\n" +
			"pause or a cancellation within seconds.",
		Example: "  app jobs batches --state paused\n  app jobs batches pause 12",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withBatches(c, app, func(ctx context.Context, batches *batch.Batches) error {
				found, err := batches.List(ctx, filter)
				if err != nil {
					return err
				}
				return printBatches(c, found)
			})
		},
	}
	command.Flags().StringVar((*string)(&filter.State), "state", "", "open, paused, cancelled, finished or succeeded; default all")
	command.Flags().Int64Var((*int64)(&filter.Before), "before", 0, "list the batches that are older than this one")
	command.Flags().IntVar(&filter.Limit, "limit", 25, fmt.Sprintf("largest number of batches to list; at most %d", batch.MostListed))
	command.AddCommand(
		newBatchCommand(app, "show", "Show one batch", nil),
		newBatchCommand(app, "pause", "Keep the waiting jobs of a batch from running", (*batch.Batches).Pause),
		newBatchCommand(app, "resume", "End a pause; the jobs keep their order", (*batch.Batches).Resume),
		newBatchCommand(app, "cancel", "Cancel all jobs of a batch that have not ended", (*batch.Batches).Cancel),
	)
	return command
}

// Private

// newBatchCommand is a command that acts on one batch, and shows it.
func newBatchCommand(
	app application, name, short string, do func(batches *batch.Batches, ctx context.Context, id batch.ID) error,
) *cobra.Command {
	return &cobra.Command{
		Use:     name + " ID",
		Short:   short,
		Example: fmt.Sprintf("  app jobs batches %s 12", name),
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			number, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil {
				return &usageError{err: fmt.Errorf("%q is no id of a batch, such as 12", args[0]), usage: c.UsageString()}
			}
			id := batch.ID(number)
			return withBatches(c, app, func(ctx context.Context, batches *batch.Batches) error {
				if do != nil {
					if err := do(batches, ctx, id); err != nil {
						return err
					}
				}
				one, err := batches.Show(ctx, id)
				if err != nil {
					return err
				}
				return printBatches(c, []batch.Summary{one})
			})
		},
	}
}

func withBatches(c *cobra.Command, app application, do func(ctx context.Context, batches *batch.Batches) error) error {
	return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
		return do(ctx, batch.New(session.db, session.jobs))
	})
}

func printBatches(c *cobra.Command, batches []batch.Summary) error {
	rows := make([][]any, len(batches))
	for i, one := range batches {
		p := one.Progress
		percent := fmt.Sprintf("%d%%", p.Percent())
		rows[i] = []any{one.ID, one.Name, one.State, percent, p.Total, p.Done, p.Failed, p.Cancelled, p.Running, p.Waiting, ago(one.CreatedAt)}
	}
	return printTable(c, batches, "ID\tNAME\tSTATE\tENDED\tJOBS\tDONE\tFAILED\tCANCELLED\tRUNNING\tWAITING\tCREATED", rows)
}
