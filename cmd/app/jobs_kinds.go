package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
)

func newJobsKindsCommand(app application) *cobra.Command {
	command := &cobra.Command{
		Use:   "kinds",
		Short: "Show the kinds of work that are paused, pause and resume them",
		Long: "Show the kinds of work that are paused. Other work of their queues goes on. A pause lasts over\n" +
			"restarts and deploys, until the kind is resumed.",
		Example: "  app jobs kinds pause pg KIND\n  app jobs kinds",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				paused, err := session.inspector.PausedKinds(ctx)
				if err != nil {
					return err
				}
				return printPausedKinds(c, paused)
			})
		},
	}
	command.AddCommand(
		kindCommand(app, "pause", "Run no more work of a kind", (*inspect.Inspector).PauseKind),
		kindCommand(app, "resume", "Run work of a paused kind again", (*inspect.Inspector).ResumeKind),
	)
	return command
}

// Private

type kindAction func(inspector *inspect.Inspector, ctx context.Context, backend jobs.Backend, kind string) error

func kindCommand(app application, name, short string, do kindAction) *cobra.Command {
	return &cobra.Command{
		Use:     name + " BACKEND KIND",
		Short:   short,
		Long:    short + ". BACKEND is pg or redis. Workers do it within about a second.",
		Example: fmt.Sprintf("  app jobs kinds %s pg KIND", name),
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			backend, err := parseBackend(args[0])
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				if err := do(session.inspector, ctx, backend, args[1]); err != nil {
					return err
				}
				result := map[string]any{"action": name, "backend": backend, "kind": args[1]}
				return printResult(c, fmt.Sprintf("%s: %s %s", name, backend, args[1]), result)
			})
		},
	}
}

func printPausedKinds(c *cobra.Command, paused []jobs.PausedKind) error {
	rows := make([][]any, len(paused))
	for i, one := range paused {
		rows[i] = []any{one.Backend, one.Kind, ago(one.PausedAt)}
	}
	return printTable(c, paused, "BACKEND\tKIND\tPAUSED", rows)
}
