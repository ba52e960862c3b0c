package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"slipway/internal/jobs/inspect"
)

// newJobsActCommand makes the command of an action, on ids or on everything
// that a filter selects.
func newJobsActCommand(app application, action inspect.Action, short string) *cobra.Command {
	request := &actRequest{action: action}
	note := ""
	if action == inspect.Retry {
		note = "\nWithout --state, retry --all acts only on work that failed for good; for cancelled work, add\n--state cancelled."
	}
	command := &cobra.Command{
		Use:   string(action) + " [ID...]",
		Short: short,
		Long: short + ".\n\nName jobs and tasks by their ids, or use --all to act on everything that the filter selects:\n" +
			fmt.Sprintf("page by page of %d, and on no more than --most.%s", inspect.PageSize, note),
		Example: fmt.Sprintf("  app jobs %[1]s pg:123 redis:default:0197\n  app jobs %[1]s --all --queue low", action),
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := request.read(args); err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				if request.all {
					return request.actOnAll(ctx, c, session.inspector)
				}
				return request.actOnIDs(ctx, c, session.inspector)
			})
		},
	}
	request.flags.addTo(command)
	command.Flags().BoolVar(&request.all, "all", false, "act on everything that the filter selects")
	command.Flags().IntVar(&request.most, "most", 10_000, "largest number of jobs and tasks that --all acts on")
	return command
}

// Private

// actRequest is an action with the work that it is for.
type actRequest struct {
	action inspect.Action
	flags  jobsFilter
	all    bool
	most   int

	ids    []inspect.ID
	filter inspect.Filter
}

// read checks the flags and the ids of a command line.
func (r *actRequest) read(args []string) error {
	filter, err := r.flags.read()
	for _, text := range args {
		id, wrong := inspect.ParseID(text)
		r.ids, err = append(r.ids, id), errors.Join(err, wrong)
	}
	r.filter = filter
	unfiltered := filter == inspect.Filter{}
	destructive := r.action == inspect.Discard || r.action == inspect.Cancel
	switch {
	case err != nil:
		return err
	case r.all == (len(args) > 0) || !r.all && !unfiltered:
		return errors.New("name ids, or use --all; the filter flags need --all")
	case r.all && unfiltered && destructive:
		return fmt.Errorf("%s --all needs a filter: --backend, --queue, --kind or --state", r.action)
	case r.all && filter.State != "" && !slices.Contains(inspect.Actions[r.action], filter.State):
		return fmt.Errorf("%s cannot act on work that is %s; it acts on work that is %s",
			r.action, filter.State, joined(inspect.Actions[r.action]))
	case r.most < 1:
		return errors.New("--most must be at least 1")
	}
	return nil
}

func (r *actRequest) actOnIDs(ctx context.Context, c *cobra.Command, inspector *inspect.Inspector) error {
	var problems []error
	done := 0
	for _, id := range r.ids {
		if err := inspector.Act(ctx, r.action, id); err != nil {
			problems = append(problems, err)
			continue
		}
		done++
	}
	return errors.Join(append(problems, r.printDone(c, done, len(problems)))...)
}

// actOnAll reads the states in which the action makes sense, page by page. No
// item is acted on twice, because one that was retried may have failed again. A
// page without progress is the last.
func (r *actRequest) actOnAll(ctx context.Context, c *cobra.Command, inspector *inspect.Inspector) error {
	done := 0
	var problems []error
	seen := map[inspect.ID]bool{}
	filter, states := r.filter, inspect.DefaultStates(r.action)
	if filter.State != "" {
		states = []inspect.State{filter.State}
	}
	for _, state := range states {
		for progress := true; progress && done < r.most; {
			progress = false
			filter.State, filter.Limit = state, min(inspect.PageSize, r.most-done)
			items, err := inspector.List(ctx, filter)
			if err != nil && len(problems) == 0 {
				problems = append(problems, err)
			}
			for _, item := range items {
				if seen[item.ID] {
					continue
				}
				seen[item.ID] = true
				switch err := inspector.Act(ctx, r.action, item.ID); {
				case err == nil:
					done++
					progress = true
				case !errors.Is(err, inspect.ErrState) && !errors.Is(err, inspect.ErrNotFound) && len(problems) < 10:
					problems = append(problems, err)
				}
			}
			if ctx.Err() != nil {
				return errors.Join(append(problems, ctx.Err(), r.printDone(c, done, len(problems)))...)
			}
		}
	}
	return errors.Join(append(problems, r.printDone(c, done, len(problems)))...)
}

func (r *actRequest) printDone(c *cobra.Command, done, failed int) error {
	result := map[string]any{"action": r.action, "done": done, "failed": failed}
	return printResult(c, fmt.Sprintf("%s: %d done, %d failed", r.action, done, failed), result)
}
