package main

import (
	"context"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/jobs"
	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/inspect"
	"slipway/internal/postgres"
)

func newWorkerPGCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "worker-pg",
		Short: "Run the jobs in PostgreSQL: work that must not be lost",
		Long: "Run the jobs in PostgreSQL, and serve /up, /health and /metrics on OPS_PORT.\n" +
			"On SIGTERM, no more jobs are fetched; what is not finished within\n" +
			"JOBS_SHUTDOWN_TIMEOUT is returned to its queue for another worker. The process ends at\n" +
			"most " + workerStopMargin.String() + " later: SIGKILL must not come before that.\n\n" + app.help(config.WorkerPG),
		Example: "  DATABASE_URL=postgres://localhost/app app worker-pg",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := startRole(c, app, config.WorkerPG)
			if err != nil {
				return err
			}
			return runWorkerPG(c.Context(), p, app)
		},
	}
}

func runWorkerPG(ctx context.Context, p *process, app application) error {
	options := p.roleOptions(config.WorkerPG, p.config.WorkerStatementTimeout)
	options.reserve = p.config.CriticalReserve()
	b, err := p.connect(ctx, options)
	if err != nil {
		return err
	}
	defer b.close()
	river, err := p.openRiverPool(ctx)
	if err != nil {
		return err
	}
	defer postgres.Close(river)
	postgres.RegisterMetrics(p.registry, "river", river, nil)
	work, err := app.work(b)
	if err != nil {
		return err
	}
	worker, err := jobs.NewPGWorker(b.db, append(b.traced(work.jobs), b.tasks.OutboxHandlers()...), jobs.PGWorkerOptions{
		River: river, Concurrency: p.slots(), ShutdownTimeout: p.config.JobsShutdownTimeout, Retention: p.retention(),
		Version: p.build.name(), Log: p.log, Metrics: b.metrics, Reporter: p.reporter,
	})
	if err != nil {
		return err
	}
	backlog, err := b.backlog(jobs.PG)
	if err != nil {
		return err
	}
	defer backlog.Close()
	checks := append(b.redisChecks(false), workingCheck("jobs", worker.Started), stuckCheck(worker.CheckStuck))
	finisher := batch.NewFinisher(batch.New(b.db, b.jobs), work.jobs, p.log)
	inspector, err := inspect.New(inspect.Options{DB: b.db, Tasks: b.tasks, Kinds: work.kinds()})
	if err != nil {
		return err
	}
	actions := func(ctx context.Context) error { return inspector.RunActions(ctx, p.log) }
	return b.runWorker(ctx, config.WorkerPG, app, work, worker, backlog, checks, append(work.background, finisher.Run, actions)...)
}

// Private

// openRiverPool opens the connections over which River fetches jobs and stores
// their results. They are apart from those of jobs, so that jobs cannot keep River
// waiting.
func (p *process) openRiverPool(ctx context.Context) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, postgres.Options{
		URL: p.config.DatabaseURL, Name: "app worker-pg river", PoolSize: jobs.RiverPoolSize,
		ConnectTimeout: p.config.DatabaseConnectTimeout, StatementTimeout: p.config.WorkerStatementTimeout,
		LockTimeout: p.config.DatabaseLockTimeout, PingTimeout: p.config.DatabasePingTimeout,
		IdleInTransactionTimeout: p.config.DatabaseIdleTimeout,
	})
}
