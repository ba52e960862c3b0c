package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
	"slipway/internal/postgres"
	"slipway/internal/shop"
	"slipway/internal/telemetry"
)

func newJobsCommand() *cobra.Command {
	command := &cobra.Command{
		Use:   "jobs",
		Short: "Look at jobs and tasks, and act on them",
		Long: "Look at the work of both backends and act on it. A job is named pg:123, a task\n" +
			"redis:QUEUE:ID. With --json every command prints JSON.\n\n" + config.Help(config.Jobs),
		Example: "  app jobs queues\n  app jobs list --state failed\n  app jobs retry --all --kind send_order_confirmation",
		Args:    cobra.ArbitraryArgs,
		RunE:    requireSubcommand,
	}
	command.PersistentFlags().Bool("json", false, "print JSON")
	command.AddCommand(
		newJobsListCommand(), newJobsShowCommand(),
		newJobsActCommand(inspect.Retry, "Run again what has failed or was cancelled"),
		newJobsActCommand(inspect.RunNow, "Run now what waits for its time"),
		newJobsActCommand(inspect.Cancel, "End what waits or runs, so that it never runs again"),
		newJobsActCommand(inspect.Discard, "Forget work that does not run"),
		newJobsPauseCommand(), newJobsResumeCommand(),
		newJobsQueuesCommand(), newJobsWorkersCommand(), newJobsRecurringCommand(),
		newJobsEnqueueCommand(), newJobsCheckCommand(),
	)
	return command
}

// Private

// jobsTimeout bounds one command, jobsTasksTimeout one call of Redis, for which
// somebody at a keyboard can wait.
const (
	jobsTimeout      = 5 * time.Minute
	jobsTasksTimeout = 2 * time.Second
)

// jobsOffice is what the commands work with.
type jobsOffice struct {
	db        *pgxpool.Pool
	queue     *jobs.Jobs
	tasks     *jobs.Tasks
	store     *shop.Shop
	inspector *inspect.Inspector
	log       *slog.Logger
}

// withJobs opens both backends for one command.
func withJobs(c *cobra.Command, do func(ctx context.Context, office jobsOffice) error) error {
	settings, err := loadConfig(config.Jobs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), jobsTimeout)
	defer cancel()
	db, err := postgres.Open(ctx, postgres.Options{
		URL: settings.DatabaseURL, Name: "app jobs", PoolSize: 2, ConnectTimeout: settings.DatabaseConnectTimeout,
		StatementTimeout: time.Minute, LockTimeout: settings.DatabaseLockTimeout, PingTimeout: time.Second,
	})
	if err != nil {
		return err
	}
	defer db.Close()

	registry := prometheus.NewRegistry()
	log := telemetry.NewLogger(c.ErrOrStderr(), settings.LogLevel, settings.LogFormat == config.LogJSON, "jobs")
	reporter := telemetry.NewReporter(log, registry)
	failopen.LogThrough(func(source string, err error) { reporter.Report("Redis", source, err) })
	metrics := jobs.NewMetrics(registry)
	office := jobsOffice{db: db, log: log}
	if office.queue, err = jobs.NewJobs(db, metrics); err != nil {
		return err
	}
	guard := failopen.NewGuard(failopen.Options{URL: settings.QueueRedisURL, Timeout: jobsTasksTimeout, DialTimeout: jobsTasksTimeout, PoolSize: 2}, reporter)
	if office.tasks, err = jobs.NewTasks(guard, office.queue, metrics); err != nil {
		return err
	}
	defer office.tasks.Close()
	office.store = shop.New(shop.Options{DB: db, Jobs: office.queue, Tasks: office.tasks, Log: log, Registry: registry})
	kinds := append(office.store.Jobs(), taskKinds(office.store)...)
	if office.inspector, err = inspect.New(inspect.Options{DB: db, Tasks: office.tasks, Kinds: kinds}); err != nil {
		return err
	}
	return do(ctx, office)
}

// newJobsActCommand makes the command of an action, on ids or on everything
// that a filter chooses.
func newJobsActCommand(action inspect.Action, short string) *cobra.Command {
	var all bool
	var most int
	filter := &jobsFilter{}
	note := ""
	if action == inspect.Retry {
		note = " Without --state\nthat is what has failed for good: to revive what was cancelled, add --state cancelled."
	}
	command := &cobra.Command{
		Use:   string(action) + " [ID...]",
		Short: short,
		Long: short + ".\n\nName the work by its ids, or take everything that the filter chooses with --all:\n" +
			fmt.Sprintf("it is read in pages of %d, and no more than --most is touched.%s", inspect.PageSize, note),
		Example: fmt.Sprintf("  app jobs %[1]s pg:123 redis:default:0197\n  app jobs %[1]s --all --queue low", action),
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			chosen, err := filter.read()
			ids, wrong := parseIDs(args)
			switch {
			case errors.Join(err, wrong) != nil:
				return &usageError{err: errors.Join(err, wrong), usage: c.UsageString()}
			case all == (len(args) > 0) || !all && chosen != (inspect.Filter{}):
				return &usageError{err: errors.New("name ids, or use --all with what it is to choose"), usage: c.UsageString()}
			case all && chosen == (inspect.Filter{}) && (action == inspect.Discard || action == inspect.Cancel):
				return &usageError{err: fmt.Errorf("%s --all needs to be told which: --backend, --queue, --kind or --state", action), usage: c.UsageString()}
			case all && chosen.State != "" && !slices.Contains(inspect.Actions[action], chosen.State):
				return &usageError{err: fmt.Errorf("%s does nothing to what is %s: it is for what is %s", action, chosen.State, joined(inspect.Actions[action])), usage: c.UsageString()}
			case most < 1:
				return &usageError{err: errors.New("--most must be at least 1"), usage: c.UsageString()}
			}
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				if all {
					return actOnAll(ctx, c, office.inspector, action, chosen, most)
				}
				return actOnIDs(ctx, c, office.inspector, action, ids)
			})
		},
	}
	filter.addTo(command)
	command.Flags().BoolVar(&all, "all", false, "everything that the filter chooses")
	command.Flags().IntVar(&most, "most", 10_000, "the most that --all touches")
	return command
}

func parseIDs(args []string) (ids []inspect.ID, err error) {
	for _, text := range args {
		id, wrong := inspect.ParseID(text)
		ids, err = append(ids, id), errors.Join(err, wrong)
	}
	return ids, err
}

func actOnIDs(ctx context.Context, c *cobra.Command, inspector *inspect.Inspector, action inspect.Action, ids []inspect.ID) error {
	var problems []error
	done := 0
	for _, id := range ids {
		if err := inspector.Act(ctx, action, id); err != nil {
			problems = append(problems, err)
			continue
		}
		done++
	}
	return errors.Join(append(problems, sayDone(c, action, done, len(problems)))...)
}

// actOnAll goes through the states in which an action makes sense, page by
// page. Nothing is touched twice: what was retried may have failed again. A page
// without progress is the last.
func actOnAll(ctx context.Context, c *cobra.Command, inspector *inspect.Inspector, action inspect.Action, filter inspect.Filter, most int) error {
	done := 0
	var problems []error
	seen := map[inspect.ID]bool{}
	states := inspect.Unasked(action)
	if filter.State != "" {
		states = []inspect.State{filter.State}
	}
	for _, state := range states {
		for progress := true; progress && done < most; {
			progress = false
			filter.State, filter.Limit = state, min(inspect.PageSize, most-done)
			items, err := inspector.List(ctx, filter)
			if err != nil && len(problems) == 0 {
				problems = append(problems, err)
			}
			for _, item := range items {
				if seen[item.ID] {
					continue
				}
				seen[item.ID] = true
				switch err := inspector.Act(ctx, action, item.ID); {
				case err == nil:
					done++
					progress = true
				case !errors.Is(err, inspect.ErrState) && !errors.Is(err, inspect.ErrNotFound) && len(problems) < 10:
					problems = append(problems, err)
				}
			}
			if ctx.Err() != nil {
				return errors.Join(append(problems, ctx.Err(), sayDone(c, action, done, len(problems)))...)
			}
		}
	}
	return errors.Join(append(problems, sayDone(c, action, done, len(problems)))...)
}

func sayDone(c *cobra.Command, action inspect.Action, done, failed int) error {
	return say(c, fmt.Sprintf("%s: %d done, %d failed", action, done, failed), map[string]any{"action": action, "done": done, "failed": failed})
}
