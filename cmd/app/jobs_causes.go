package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/jobs/inspect"
)

func newJobsCausesCommand(app application) *cobra.Command {
	filter := &jobsFilter{}
	command := &cobra.Command{
		Use:   "causes",
		Short: "Group failed work by its cause",
		Long: "Group failed work by its cause: by its kind, and by its error without numbers, ids, quoted texts,\n" +
			"addresses and times. With --state retrying, group the work that waits for its next attempt.",
		Example: "  app jobs causes --filter 'since:2h'\n  app jobs retry --all --filter 'cause:FINGERPRINT'",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			chosen, err := filter.read(app)
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				causes, err := session.inspector.Causes(ctx, chosen)
				if failure := printCauses(c, causes); failure != nil {
					return failure
				}
				return err
			})
		},
	}
	filter.addTo(command)
	return command
}

func newJobsAuditCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "audit",
		Short: "Show what operators did to jobs and tasks",
		Long:  "Show the newest actions of operators, of the dashboard and of these commands. They are kept for 90 days.",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				actions, err := session.inspector.Actions(ctx, 0, inspect.MostListedActions)
				if err != nil {
					return err
				}
				return printActions(c, actions)
			})
		},
	}
}

// Private

func printCauses(c *cobra.Command, causes []inspect.Cause) error {
	rows := make([][]any, len(causes))
	for i, cause := range causes {
		count := fmt.Sprint(cause.Count)
		if cause.More {
			count += "+"
		}
		rows[i] = []any{cause.Fingerprint, count, cause.Kind, short(cause.Error), at(&cause.LastSeen), cause.Example}
	}
	return printTable(c, causes, "CAUSE\tCOUNT\tKIND\tERROR\tLAST SEEN\tEXAMPLE", rows)
}

func printActions(c *cobra.Command, actions []inspect.AuditedAction) error {
	rows := make([][]any, len(actions))
	for i, action := range actions {
		rows[i] = []any{
			action.ID, action.AskedAt.UTC().Format(time.RFC3339), short(action.Actor), action.Action, short(action.Subject), action.Outcome,
			action.Report.Done, action.Report.Failed,
		}
	}
	return printTable(c, actions, "ID\tAT\tACTOR\tACTION\tSUBJECT\tOUTCOME\tDONE\tFAILED", rows)
}
