package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
)

func newJobsListCommand(app application) *cobra.Command {
	filter := &jobsFilter{}
	var limit int
	var after string
	command := &cobra.Command{
		Use:   "list",
		Short: "List jobs and tasks, the newest first",
		Long: "List jobs and tasks: jobs, then failed and cancelled tasks, each the newest first, then other tasks\n" +
			"by state. Secrets are masked. When there are more, the output ends with a cursor for --after,\n" +
			"which lists the next page with the same filter.",
		Example: "  app jobs list --state failed\n  app jobs list --backend redis --queue low --json",
		RunE: func(c *cobra.Command, _ []string) error {
			chosen, err := filter.read(app)
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			if limit < 1 || limit > inspect.PageSize {
				return &usageError{err: fmt.Errorf("--limit must be from 1 to %d", inspect.PageSize), usage: c.UsageString()}
			}
			chosen.Limit, chosen.After = limit, inspect.Cursor(after)
			if err := chosen.After.Check(); err != nil {
				return &usageError{err: fmt.Errorf("--after %w", err), usage: c.UsageString()}
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				page, err := session.inspector.List(ctx, chosen)
				if failure := printPage(c, page); failure != nil {
					return failure
				}
				return err
			})
		},
	}
	filter.addTo(command)
	command.Flags().IntVar(&limit, "limit", 50, fmt.Sprintf("largest number of jobs and tasks to list; at most %d", inspect.PageSize))
	command.Flags().StringVar(&after, "after", "", "list the page after the one that ended with this cursor")
	return command
}

func newJobsShowCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show everything about one job or task",
		Example: "  app jobs show pg:123",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := inspect.ParseID(args[0])
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				item, err := session.inspector.Show(ctx, id)
				if err != nil {
					return err
				}
				return printJSON(c, item)
			})
		},
	}
}

// jobsFilter are the flags that select work.
type jobsFilter struct{ text, backend, queue, kind, state string }

func (f *jobsFilter) addTo(command *cobra.Command) {
	command.Flags().StringVar(&f.text, "filter", "",
		`words such as 'tag:x args.order_id:5 args.user.name:"Ann Lee" since:2h cause:FINGERPRINT'`)
	command.Flags().StringVar(&f.backend, "backend", "", "pg or redis; default both")
	command.Flags().StringVar(&f.queue, "queue", "", "a queue such as low; default all")
	command.Flags().StringVar(&f.kind, "kind", "", "the kind of work; default all")
	command.Flags().StringVar(&f.state, "state", "", "pending, scheduled, running, retrying, failed, cancelled or done; default all")
}

func (f *jobsFilter) read(app application) (inspect.Filter, error) {
	filter, err := inspect.ParseFilter(f.text)
	if err != nil {
		return inspect.Filter{}, err
	}
	filter.Backend = cmp.Or(jobs.Backend(f.backend), filter.Backend)
	filter.Queue, filter.Kind = cmp.Or(f.queue, filter.Queue), cmp.Or(f.kind, filter.Kind)
	filter.State = cmp.Or(inspect.State(f.state), filter.State)
	if f.backend != "" {
		if _, err := parseBackend(f.backend); err != nil {
			return inspect.Filter{}, err
		}
	}
	if f.queue != "" {
		if err := checkQueue(app, f.queue); err != nil {
			return inspect.Filter{}, err
		}
	}
	if f.state != "" && !slices.Contains(inspect.States, filter.State) {
		return inspect.Filter{}, fmt.Errorf("there is no state %q: it is one of %s", f.state, joined(inspect.States))
	}
	return filter, nil
}

// Private

func printPage(c *cobra.Command, page inspect.Page) error {
	rows := make([][]any, len(page.Items))
	for i, item := range page.Items {
		attempts := fmt.Sprintf("%d/%d", item.Attempt, item.MaxAttempts)
		state := string(item.State)
		if item.Paused != "" {
			state += ", paused"
		}
		rows[i] = []any{item.ID, state, item.Queue, item.Kind, attempts, short(string(item.Args)), short(item.Error)}
	}
	err := printTable(c, page, "ID\tSTATE\tQUEUE\tKIND\tATTEMPT\tARGS\tERROR", rows)
	if err != nil || page.Next == "" || asJSON(c) {
		return err
	}
	if len(page.Items) == 0 {
		_, err = fmt.Fprintf(c.OutOrStdout(), "None of the %d that were read. ", page.Read)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "There are more: add --after %s\n", page.Next)
	return err
}
