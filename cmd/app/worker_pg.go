package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/jobs"
)

func newWorkerPGCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "worker-pg",
		Short: "Run the jobs in PostgreSQL: work that must not be lost",
		Long: "Run the jobs in PostgreSQL, and serve /up, /health and /metrics on OPS_PORT.\n" +
			"On SIGTERM, no more jobs are fetched; what is not finished within\n" +
			"JOBS_SHUTDOWN_TIMEOUT is returned to its queue for another worker.\n\n" + app.help(config.WorkerPG),
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
	b, err := p.connect(ctx, p.roleOptions(config.WorkerPG, p.config.WorkerStatementTimeout))
	if err != nil {
		return err
	}
	defer b.close()
	work, err := app.work(b)
	if err != nil {
		return err
	}
	worker, err := jobs.NewPGWorker(b.db, append(work.jobs, b.tasks.OutboxHandlers()...), jobs.PGWorkerOptions{
		Concurrency: map[jobs.Queue]int{
			jobs.Critical: p.config.JobsCriticalConcurrency, jobs.Default: p.config.JobsDefaultConcurrency, jobs.Low: p.config.JobsLowConcurrency,
		},
		ShutdownTimeout: p.config.JobsShutdownTimeout, Version: p.build.name(), Log: p.log, Metrics: b.metrics, Reporter: p.reporter,
	})
	if err != nil {
		return err
	}
	backlog, err := b.backlog(jobs.PG)
	if err != nil {
		return err
	}
	defer backlog.Close()
	checks := append(b.redisChecks(false), queuesCheck(backlog), workingCheck("jobs", worker.Started))
	return b.runWorker(ctx, app, work, worker, checks, work.background...)
}
