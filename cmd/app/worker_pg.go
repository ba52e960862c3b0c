package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/jobs/recurring"
	"slipway/internal/payment"
	"slipway/internal/postgres"
	"slipway/internal/shop"
)

func newWorkerPGCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker-pg",
		Short: "Work the jobs in PostgreSQL: what a customer would miss",
		Long: "Work the jobs in PostgreSQL, and serve /up, /health and /metrics on OPS_PORT.\n" +
			"On SIGTERM, no more jobs are taken; what is not finished within\n" +
			"JOBS_SHUTDOWN_TIMEOUT is handed back for another worker.\n\n" + config.Help(config.WorkerPG),
		Example: "  DATABASE_URL=postgres://localhost/shop app worker-pg",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := startRole(c, config.WorkerPG)
			if err != nil {
				return err
			}
			return runWorkerPG(c.Context(), p)
		},
	}
}

func runWorkerPG(ctx context.Context, p *process) error {
	db, err := p.openDatabase(ctx, config.WorkerPG, p.config.WorkerStatementTimeout, nil)
	if err != nil {
		return err
	}
	defer postgres.Close(db)
	guards := p.guardRedis()
	redis, err := failopen.Open(guards.shared)
	if err != nil {
		return err
	}
	defer redis.Close()
	metrics := jobs.NewMetrics(p.registry)
	queue, err := jobs.NewJobs(db, metrics)
	if err != nil {
		return err
	}
	tasks, err := jobs.NewTasks(guards.queue, queue, metrics)
	if err != nil {
		return err
	}
	defer tasks.Close()
	sender, err := p.mailSender()
	if err != nil {
		return err
	}
	store := shop.New(shop.Options{
		DB: db, Jobs: queue, Tasks: tasks, Gateway: payment.NewSandbox(p.config.PaymentTimeout), Mail: sender,
		BaseURL: strings.TrimSuffix(p.config.BaseURL, "/"), Log: p.log, Registry: p.registry,
		Redis: redis,
	})
	worker, err := jobs.NewPGWorker(db, append(store.Jobs(), tasks.Carriers()...), jobs.PGWorkerOptions{
		Concurrency: map[jobs.Queue]int{
			jobs.Critical: p.config.JobsCriticalConcurrency, jobs.Default: p.config.JobsDefaultConcurrency, jobs.Low: p.config.JobsLowConcurrency,
		},
		ShutdownTimeout: p.config.JobsShutdownTimeout, Version: currentBuild().name(), Log: p.log, Metrics: metrics, Reporter: p.reporter,
	})
	if err != nil {
		return err
	}
	work, err := recurringWork(store)
	if err != nil {
		return err
	}
	scheduler := recurring.NewScheduler(db, queue, tasks, work, p.log)

	database, err := p.databaseCheck(nil)
	if err != nil {
		return err
	}
	backlog, err := p.backlog(db, nil)
	if err != nil {
		return err
	}
	defer backlog.Close()
	checks := health.New(p.registry, append(guards.redisChecks(false), database, queuesCheck(backlog), workingCheck("jobs", worker.Started))...)
	checks.Booted()
	return p.run(ctx, whenItMayWork(checks, worker.Run), p.ops(checks), checks.Run, guards.run, scheduler.Run, store.RunSales, p.heedSignals(checks, worker.Quiet))
}
