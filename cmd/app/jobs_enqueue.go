package main

import (
	"context"

	"github.com/spf13/cobra"
)

func newJobsEnqueueCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "enqueue KIND [ARGS]",
		Short: "Enqueue one job or task",
		Long: "Enqueue one job or task. ARGS are JSON and are checked before anything is stored.\n" +
			"A task goes through the outbox in PostgreSQL, so it is not lost while Redis is unavailable.",
		Example: `  app jobs enqueue KIND '{"some_field": 100001}'`,
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			payload := []byte("{}")
			if len(args) == 2 {
				payload = []byte(args[1])
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				_, enqueued, err := session.inspector.Enqueue(ctx, operator(), args[0], payload)
				if err != nil {
					return err
				}
				if !enqueued {
					line := "not enqueued: an equal " + args[0] + " is there already, and its kind is unique"
					return printResult(c, line, map[string]any{"duplicate": args[0]})
				}
				return printResult(c, "enqueued: "+args[0], map[string]any{"enqueued": args[0]})
			})
		},
	}
}
