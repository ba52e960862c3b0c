package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os/user"
	"slices"
	"strings"

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
		Long: short + ".\n\nName jobs and tasks by their ids, or use --all to act on everything that the filter selects when the\n" +
			"command starts, each once. The command ends with what it took, did and skipped, and why, also after\n" +
			"Ctrl-C. It exits with 1 when something could not be acted on." + note,
		Example: fmt.Sprintf("  app jobs %[1]s pg:123 redis:default:0197\n  app jobs %[1]s --all --queue low", action),
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if err := request.read(app, args); err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			if request.all {
				return withJobsFor(c, app, jobsBulkTimeout, func(ctx context.Context, session jobsSession) error {
					return request.actOnAll(ctx, c, session.inspector)
				})
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				return request.actOnIDs(ctx, c, session.inspector)
			})
		},
	}
	request.flags.addTo(command)
	command.Flags().BoolVar(&request.all, "all", false, "act on everything that the filter selects")
	command.Flags().IntVar(&request.most, "most", 0, "largest number of jobs and tasks that --all acts on; 0: all")
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
func (r *actRequest) read(app application, args []string) error {
	filter, err := r.flags.read(app)
	for _, text := range args {
		id, wrong := inspect.ParseID(text)
		r.ids, err = append(r.ids, id), errors.Join(err, wrong)
	}
	r.filter = filter
	unfiltered := filter.IsEmpty()
	destructive := r.action == inspect.Discard || r.action == inspect.Cancel
	switch {
	case err != nil:
		return err
	case r.all == (len(args) > 0) || !r.all && !unfiltered:
		return errors.New("name ids, or use --all; the filter flags need --all")
	case r.all && unfiltered && destructive:
		return fmt.Errorf("%s --all needs a filter: --filter, --backend, --queue, --kind or --state", r.action)
	case r.all && filter.State != "" && !slices.Contains(inspect.Actions[r.action], filter.State):
		return fmt.Errorf("%s cannot act on work that is %s; it acts on work that is %s",
			r.action, filter.State, joined(inspect.Actions[r.action]))
	case r.most < 0:
		return errors.New("--most must be at least 0")
	}
	return nil
}

// actOnIDs acts on each id, and prints the problems beside the counts.
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
	names := make([]string, len(r.ids))
	for n, id := range r.ids {
		names[n] = id.String()
	}
	noted := inspector.Note(ctx, operator(), r.action, strings.Join(names, " "), errors.Join(problems...))
	return errors.Join(append(problems, noted, r.printDone(c, done, len(problems)))...)
}

// operator names who runs a command in the audit list.
func operator() string {
	if account, err := user.Current(); err == nil && account.Username != "" {
		return "app jobs (" + account.Username + ")"
	}
	return "app jobs"
}

// actOnAll acts on everything that the filter selects, and prints what it did also
// when it is interrupted.
func (r *actRequest) actOnAll(ctx context.Context, c *cobra.Command, inspector *inspect.Inspector) error {
	report, err := inspector.ActOnAllAs(ctx, operator(), inspect.Bulk{Action: r.action, Filter: r.filter, Most: r.most})
	if failure := printReport(c, report, err); failure != nil {
		return failure
	}
	switch {
	case c.Context().Err() != nil:
		return errors.New("interrupted: the report says how far it came; run the command again for the rest")
	case err != nil:
		return err
	case !report.Complete():
		return fmt.Errorf("%s: not done on %d of %d", r.action, report.Taken-report.Done, report.Taken)
	}
	return nil
}

// printReport prints the report of a bulk action, such as
// "retry: 503 taken, 501 done, 2 skipped (it was gone: 2), 0 failed".
func printReport(c *cobra.Command, report inspect.Report, err error) error {
	var reasons []string
	skipped := 0
	for _, reason := range slices.Sorted(maps.Keys(report.Skipped)) {
		skipped += report.Skipped[reason]
		reasons = append(reasons, fmt.Sprintf("%s: %d", reason, report.Skipped[reason]))
	}
	line := fmt.Sprintf("%s: %d taken, %d done, %d skipped", report.Action, report.Taken, report.Done, skipped)
	if skipped > 0 {
		line += " (" + strings.Join(reasons, "; ") + ")"
	}
	line += fmt.Sprintf(", %d failed", report.Failed)
	if report.Action == inspect.Retry {
		line += fmt.Sprintf("; %d of the retried have failed for good again so far", report.FailedAgain)
	}
	switch {
	case err != nil:
		line += "; it ended early"
	case report.Rest:
		line += "; it ended at --most and there is more"
	}
	for _, problem := range report.Problems {
		line += "\n  " + problem
	}
	return printResult(c, line, report)
}

func (r *actRequest) printDone(c *cobra.Command, done, failed int) error {
	result := map[string]any{"action": r.action, "done": done, "failed": failed}
	return printResult(c, fmt.Sprintf("%s: %d done, %d failed", r.action, done, failed), result)
}
