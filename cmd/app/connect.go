package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/cache"
	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/jobs/history"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/postgres"
)

// backends are the connections of one process and what works through them.
type backends struct {
	*process
	db            *pgxpool.Pool
	databaseGuard *postgres.Guard // nil in every role but web
	databaseWaits *postgres.Waits // nil in web
	guards        redisGuards
	redis         *failopen.Redis
	cache         *cache.Cache // nil: values are not cached
	publisher     *live.Publisher
	mails         *mail.Metrics // nil: mails are not counted
	metrics       *jobs.Metrics
	recorder      *history.Recorder
	jobs          *jobs.Jobs
	tasks         *jobs.Tasks
}

// connectOptions are the differences between the roles.
type connectOptions struct {
	name             string // of the connections in pg_stat_activity
	poolSize         int
	reserve          int // connections of the pool that only urgent work uses, see postgres.Options
	pingTimeout      time.Duration
	statementTimeout time.Duration
	guarded          bool             // pages wait for a connection for a bounded time only
	redis            failopen.Options // URL and Name are filled in
	cache            *cache.Options   // nil: no cache
}

// roleOptions are the options of a long-running role.
func (p *process) roleOptions(role config.Role, statementTimeout time.Duration) connectOptions {
	return connectOptions{
		name: "app " + string(role), poolSize: p.config.DatabasePoolSize, pingTimeout: p.config.DatabasePingTimeout,
		statementTimeout: statementTimeout,
		redis: failopen.Options{
			Timeout: p.config.RedisTimeout, DialTimeout: p.config.RedisDialTimeout, PoolTimeout: p.config.RedisPoolTimeout,
			PoolSize: p.config.RedisPoolSize, MinIdle: p.config.RedisMinIdle, MaxInFlight: p.config.RedisMaxInFlight,
			Failures: p.config.RedisFailures, ProbeInterval: p.config.RedisProbeInterval,
			Metrics: failopen.NewMetrics(p.registry),
		},
	}
}

// connect prepares the connections of a process. It waits for no backend,
// so it does not fail while one is unavailable. The caller must call close.
func (p *process) connect(ctx context.Context, options connectOptions) (*backends, error) {
	b := &backends{process: p}
	if err := b.open(ctx, options); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *backends) open(ctx context.Context, options connectOptions) (err error) {
	if options.guarded {
		b.databaseGuard = postgres.NewGuard(b.config.DatabaseAcquireTimeout, b.config.DatabaseQueueLimit, b.reporter)
	} else {
		b.databaseWaits = postgres.NewWaits(longWait)
	}
	b.db, err = postgres.Open(ctx, postgres.Options{
		URL: b.config.DatabaseURL, Name: options.name, PoolSize: options.poolSize, Reserve: options.reserve,
		IdleInTransactionTimeout: b.config.DatabaseIdleTimeout,
		ConnectTimeout:           b.config.DatabaseConnectTimeout, StatementTimeout: options.statementTimeout,
		LockTimeout: b.config.DatabaseLockTimeout, PingTimeout: options.pingTimeout,
		Guard: b.databaseGuard, Waits: b.databaseWaits, Observe: b.pulse.statement(),
	})
	if err != nil {
		return err
	}
	postgres.RegisterMetrics(b.registry, "main", b.db, b.databaseGuard)

	b.guards = b.guardRedis(options.redis)
	if b.redis, err = failopen.Open(b.guards.shared); err != nil {
		return err
	}
	b.publisher = live.NewPublisher(b.redis)
	if options.cache != nil {
		b.cache = cache.New(b.redis, *options.cache, b.registry)
	}
	b.recorder = history.NewRecorder(history.RecorderOptions{DB: b.db, Version: b.build.name(), Log: b.log, Registry: b.registry})
	b.mails = mail.NewMetrics(b.registry)
	b.metrics = jobs.NewMetrics(b.registry)
	b.metrics.RecordTo(b.recorder)
	if b.jobs, err = jobs.NewJobs(b.db, b.metrics); err != nil {
		return err
	}
	if b.tasks, err = jobs.NewTasks(b.guards.queue, b.jobs, b.metrics); err != nil {
		return err
	}
	b.jobs.Know(append(b.declared.jobs, b.tasks.OutboxHandlers()...))
	b.tasks.Know(b.declared.tasks)
	return nil
}

// close ends all connections, in the reverse order of open.
func (b *backends) close() {
	var failures []error
	if b.tasks != nil {
		failures = append(failures, b.tasks.Close())
	}
	if b.cache != nil {
		b.cache.Close()
	}
	if b.redis != nil {
		failures = append(failures, b.redis.Close())
	}
	if b.db != nil {
		postgres.Close(b.db)
	}
	if err := errors.Join(failures...); err != nil {
		b.log.Warn("Connections were not closed", "error", err)
	}
}

// mailSender is the mail server, or the mail directory where there is none.
func (b *backends) mailSender(from string) (mail.Sender, error) {
	if b.config.SMTPURL != "" {
		sender, err := mail.NewSMTP(b.config.SMTPURL, from, b.reporter)
		if err != nil {
			return nil, fmt.Errorf("SMTP_URL: %w", err)
		}
		return mail.Timed(b.mails.Count(sender), b.pulse.outgoing), nil
	}
	return mail.Timed(b.mails.Count(mail.NewDirectory(b.config.MailDir, from)), b.pulse.outgoing), nil
}

// longWait is how long a job or task may wait for a connection before /health says so.
const longWait = 5 * time.Second

// redisGuards are the guards of both uses of Redis. They are one and the same
// guard when both use one Redis, so that both learn of an outage at once.
type redisGuards struct {
	shared *failopen.Guard // REDIS_URL
	queue  *failopen.Guard // QUEUE_REDIS_URL
}

func (p *process) guardRedis(options failopen.Options) redisGuards {
	options.URL, options.Name, options.Namespace = p.config.RedisURL, "shared", p.namespace()
	guards := redisGuards{shared: failopen.NewGuard(options, p.reporter)}
	guards.queue = guards.shared
	if p.config.QueueRedisURL != p.config.RedisURL {
		options.URL, options.Name = p.config.QueueRedisURL, "queue"
		guards.queue = failopen.NewGuard(options, p.reporter)
	}
	return guards
}

// run probes each Redis while it is unavailable, until ctx ends.
func (g redisGuards) run(ctx context.Context) error {
	if g.queue == g.shared {
		return g.shared.Run(ctx)
	}
	queue := make(chan error, 1)
	go func() { queue <- g.queue.Run(ctx) }()
	return errors.Join(g.shared.Run(ctx), <-queue)
}

// namespace begins every key, queue and channel of this installation in Redis.
func (p *process) namespace() string { return "slipway:" + p.config.Installation }
