package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
)

func newJobsCommand(app application) *cobra.Command {
	command := &cobra.Command{
		Use:   "jobs",
		Short: "List jobs and tasks, and act on them",
		Long: "List the work of both backends and act on it. A job is named pg:123, a task\n" +
			"redis:QUEUE:ID. With --json every command prints JSON.\n\n" + app.help(config.Jobs),
		Example: "  app jobs queues\n  app jobs list --state failed\n  app jobs retry --all --kind KIND",
		Args:    cobra.ArbitraryArgs,
		RunE:    requireSubcommand,
	}
	command.PersistentFlags().Bool("json", false, "print JSON")
	command.AddCommand(
		newJobsListCommand(app), newJobsShowCommand(app), newJobsCausesCommand(app), newJobsAuditCommand(app),
		newJobsActCommand(app, inspect.Retry, "Run again what has failed or was cancelled"),
		newJobsActCommand(app, inspect.RunNow, "Run scheduled or retrying work now"),
		newJobsActCommand(app, inspect.Cancel, "Cancel pending or running work, so that it never runs again"),
		newJobsActCommand(app, inspect.Discard, "Delete work that is not running"),
		newJobsPauseCommand(app), newJobsResumeCommand(app),
		newJobsQueuesCommand(app), newJobsWorkersCommand(app), newJobsBatchesCommand(app), newJobsKindsCommand(app), newJobsRecurringCommand(app),
		newJobsEnqueueCommand(app), newJobsCheckCommand(app),
	)
	return command
}

// Private

// jobsTimeout bounds one command, jobsBulkTimeout one with --all, and
// jobsTasksTimeout one call of Redis: an operator at a terminal can wait longer
// than a page.
const (
	jobsTimeout      = 5 * time.Minute
	jobsBulkTimeout  = 12 * time.Hour
	jobsTasksTimeout = 2 * time.Second
)

// jobsConnections are the connections to each backend, because bulk actions act on
// several tasks at a time.
const jobsConnections = 10

// jobsSession is what the commands work with.
type jobsSession struct {
	*backends
	work      work
	inspector *inspect.Inspector
}

// withJobs opens both backends for one command, which may take jobsTimeout.
func withJobs(c *cobra.Command, app application, do func(ctx context.Context, session jobsSession) error) error {
	return withJobsFor(c, app, jobsTimeout, do)
}

// withJobsFor is withJobs with a time limit of the caller.
func withJobsFor(c *cobra.Command, app application, limit time.Duration, do func(ctx context.Context, session jobsSession) error) error {
	p, err := newProcess(c, app, config.Jobs)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), limit)
	defer cancel()
	b, err := p.connect(ctx, connectOptions{
		name: "app jobs", poolSize: jobsConnections, pingTimeout: time.Second, statementTimeout: time.Minute,
		redis: failopen.Options{Timeout: jobsTasksTimeout, DialTimeout: jobsTasksTimeout, PoolSize: jobsConnections},
	})
	if err != nil {
		return err
	}
	defer b.close()
	session := jobsSession{backends: b}
	if session.work, err = app.work(b); err != nil {
		return err
	}
	session.inspector, err = inspect.New(inspect.Options{DB: b.db, Jobs: b.jobs, Tasks: b.tasks, Kinds: session.work.kinds()})
	if err != nil {
		return err
	}
	return do(ctx, session)
}

func parseBackend(text string) (jobs.Backend, error) {
	if backend := jobs.Backend(text); backend == jobs.PG || backend == jobs.Redis {
		return backend, nil
	}
	return "", fmt.Errorf("there is no backend %q: it is pg or redis", text)
}

func checkQueue(app application, name string) error {
	if queues := app.allQueues(); !slices.Contains(queues, jobs.Queue(name)) {
		return fmt.Errorf("there is no queue %q: it is one of %s", name, joined(queues))
	}
	return nil
}
