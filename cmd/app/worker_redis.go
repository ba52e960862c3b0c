package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/cache"
	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/jobs/recurring"
	"slipway/internal/live"
	"slipway/internal/postgres"
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
	db, err := p.openDatabase(ctx, config.WorkerRedis, p.config.WorkerStatementTimeout, nil)
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
	kept := cache.New(redis, cache.Options{Renew: true}, p.registry)
	defer kept.Close()
	store := shop.New(shop.Options{DB: db, Jobs: queue, Tasks: tasks, Cache: kept, Log: p.log, Registry: p.registry})
	worker, err := jobs.NewRedisWorker(db, store.Tasks(storefront.Fragments{}, live.NewPublisher(redis)), jobs.RedisWorkerOptions{
		URL: p.config.QueueRedisURL, PoolSize: p.config.RedisPoolSize, Servers: p.config.TasksServers, Concurrency: p.config.TasksConcurrency,
		CheckInterval: p.config.TasksCheckInterval, ShutdownTimeout: p.config.JobsShutdownTimeout, Version: currentBuild().name(),
		Log: p.log, Metrics: metrics, Reporter: p.reporter,
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
	backlog, err := p.backlog(nil, &guards)
	if err != nil {
		return err
	}
	defer backlog.Close()
	checks := health.New(p.registry, append(guards.redisChecks(true), database, queuesCheck(backlog), workingCheck("tasks", worker.Started))...)
	checks.Booted()
	return p.run(ctx, whenItMayWork(checks, worker.Run), p.ops(checks), checks.Run, guards.run, scheduler.Run, p.heedSignals(checks, worker.Quiet))
}
