package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/shop"
	"slipway/internal/storefront"
)

func newWorkerRedisCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "worker-redis",
		Short: "Work the tasks in Redis: many, quick and soon out of date",
		Long: "Work the tasks in Redis, live updates of open pages first of all, and serve\n" +
			"/up, /health and /metrics on OPS_PORT. On SIGTERM, no more tasks are taken; what\n" +
			"is not finished within JOBS_SHUTDOWN_TIMEOUT goes back to the queue.\n\n" + config.Help(config.WorkerRedis),
		Example: "  DATABASE_URL=postgres://localhost/shop REDIS_URL=redis://localhost:6379/0 app worker-redis",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := startRole(c, config.WorkerRedis)
			if err != nil {
				return err
			}
			return runWorkerRedis(c.Context(), p)
		},
	}
}

func runWorkerRedis(ctx context.Context, p *process) error {
	db, err := p.openDatabase(ctx, config.WorkerRedis, p.config.WorkerStatementTimeout)
	if err != nil {
		return err
	}
	defer db.Close()
	guards := p.guardRedis()
	redis, err := failopen.Open(guards.shared, p.config.RedisPoolSize)
	if err != nil {
		return err
	}
	defer redis.Close()

	store := shop.New(shop.Options{DB: db, Log: p.log, Registry: p.registry})
	worker, err := jobs.NewRedisWorker(store.Tasks(storefront.Fragments{}, live.NewPublisher(redis)), jobs.RedisWorkerOptions{
		URL: p.config.QueueRedisURL, PoolSize: p.config.RedisPoolSize, Concurrency: p.config.TasksConcurrency,
		CheckInterval: p.config.TasksCheckInterval, ShutdownTimeout: p.config.JobsShutdownTimeout,
		Log: p.log, Metrics: jobs.NewMetrics(p.registry), Reporter: p.reporter,
	})
	if err != nil {
		return err
	}

	database, err := p.databaseCheck()
	if err != nil {
		return err
	}
	checks := health.New(p.registry, append(guards.redisChecks(true), database, workingCheck("tasks", worker.Started))...)
	checks.Booted()
	return p.run(ctx, worker.Run, p.ops(checks), checks.Run, guards.run)
}
