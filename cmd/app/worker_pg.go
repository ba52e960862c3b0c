package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/payment"
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
	db, err := p.openDatabase(ctx, config.WorkerPG, p.config.WorkerStatementTimeout)
	if err != nil {
		return err
	}
	defer db.Close()
	guards := p.guardRedis()
	metrics := jobs.NewMetrics(p.registry)
	tasks, err := jobs.NewTasks(guards.queue, p.config.QueueRedisURL, p.config.RedisPoolSize, p.config.RedisTimeout, metrics)
	if err != nil {
		return err
	}
	defer tasks.Close()
	sender, err := p.mailSender()
	if err != nil {
		return err
	}
	store := shop.New(shop.Options{
		DB: db, Tasks: tasks, Gateway: payment.NewSandbox(p.config.PaymentTimeout), Mail: sender,
		BaseURL: strings.TrimSuffix(p.config.BaseURL, "/"), Log: p.log, Registry: p.registry,
	})
	worker, err := jobs.NewPGWorker(db, store.Jobs(), jobs.PGWorkerOptions{
		Concurrency: p.config.JobsConcurrency, ShutdownTimeout: p.config.JobsShutdownTimeout,
		Log: p.log, Metrics: metrics,
	})
	if err != nil {
		return err
	}

	database, err := p.databaseCheck()
	if err != nil {
		return err
	}
	checks := health.New(p.registry, append(guards.redisChecks(false), database, workingCheck("jobs", worker.Started))...)
	checks.Booted()
	return p.run(ctx, worker.Run, p.ops(checks), checks.Run, guards.run)
}
