package main

import (
	"context"

	"github.com/spf13/cobra"

	"slipway/internal/cache"
	"slipway/internal/config"
	"slipway/internal/jobs"
)

func newWorkerRedisCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "worker-redis",
		Short: "Run the tasks in Redis: frequent, short work that is soon out of date",
		Long: "Run the tasks in Redis, live updates of open pages first, and serve\n" +
			"/up, /health and /metrics on OPS_PORT. On SIGTERM, no more tasks are fetched; what\n" +
			"is not finished within JOBS_SHUTDOWN_TIMEOUT is returned to its queue. The process ends\n" +
			"at most " + workerStopMargin.String() + " later: SIGKILL must not come before that.\n\n" + app.help(config.WorkerRedis),
		Example: "  DATABASE_URL=postgres://localhost/app REDIS_URL=redis://localhost:6379/0 app worker-redis",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := startRole(c, app, config.WorkerRedis)
			if err != nil {
				return err
			}
			return runWorkerRedis(c.Context(), p, app)
		},
	}
}

func runWorkerRedis(ctx context.Context, p *process, app application) error {
	options := p.roleOptions(config.WorkerRedis, p.config.WorkerStatementTimeout)
	options.cache = &cache.Options{Renew: true}
	b, err := p.connect(ctx, options)
	if err != nil {
		return err
	}
	defer b.close()
	work, err := app.work(b)
	if err != nil {
		return err
	}
	worker, err := jobs.NewRedisWorker(b.db, b.traced(work.tasks), jobs.RedisWorkerOptions{
		Queues: p.workedQueues(), URL: p.config.QueueRedisURL, Namespace: p.namespace(), PoolSize: p.config.RedisPoolSize,
		Servers: p.config.TasksServers, Concurrency: p.config.TasksConcurrency,
		CheckInterval: p.config.TasksCheckInterval, ShutdownTimeout: p.config.JobsShutdownTimeout,
		Retention: p.retention(), Version: p.build.name(),
		Log: p.log, Metrics: b.metrics, Reporter: p.reporter,
	})
	if err != nil {
		return err
	}
	backlog, err := b.backlog(jobs.Redis)
	if err != nil {
		return err
	}
	defer backlog.Close()
	checks := append(b.redisChecks(true), workingCheck("tasks", worker.Started), stuckCheck(worker.CheckStuck))
	return b.runWorker(ctx, config.WorkerRedis, app, work, worker, backlog, checks)
}
