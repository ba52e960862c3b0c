package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/jobs/inspect"
)

func newJobsEnqueueCommand(app application) *cobra.Command {
	var when string
	command := &cobra.Command{
		Use:   "enqueue KIND [ARGS]",
		Short: "Enqueue one job or task",
		Long: "Enqueue one job or task. ARGS are JSON and are checked before anything is stored.\n" +
			"A task goes through the outbox in PostgreSQL, so it is not lost while Redis is unavailable.",
		Example: `  app jobs enqueue KIND '{"some_field": 100001}'` + "\n  app jobs enqueue KIND --when 1d12h",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			at, err := inspect.ParseWhen(when, time.Now())
			if err != nil {
				return &usageError{err: fmt.Errorf("--when: %w", err), usage: c.UsageString()}
			}
			payload := []byte("{}")
			if len(args) == 2 {
				payload = []byte(args[1])
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				_, enqueued, err := session.inspector.Enqueue(ctx, operator(), args[0], payload, at)
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
	command.Flags().StringVar(&when, "when", "", "a delay such as 10m or 1d12h, or a time such as 2026-11-30T10:00:00Z; default now")
	return command
}
