package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/mail"
	"slipway/internal/postgres"
	"slipway/internal/throttle"
)

// openDatabase prepares the pool of a role. It does not connect. Guard is nil
// for a worker: a job may wait, a page may not.
func (p *process) openDatabase(ctx context.Context, role config.Role, statementTimeout time.Duration, guard *postgres.Guard) (*pgxpool.Pool, error) {
	db, err := postgres.Open(ctx, postgres.Options{
		URL:              p.config.DatabaseURL,
		Name:             "app " + string(role),
		PoolSize:         p.config.DatabasePoolSize,
		ConnectTimeout:   p.config.DatabaseConnectTimeout,
		StatementTimeout: statementTimeout,
		LockTimeout:      p.config.DatabaseLockTimeout,
		PingTimeout:      p.config.DatabasePingTimeout,
		Guard:            guard,
	})
	if err != nil {
		return nil, err
	}
	p.registry.MustRegister(postgres.Metrics(db, guard))
	return db, nil
}

// redisGuards are the guards of both uses of Redis. They are one and the same
// where both use one Redis: what one finds out serves the other.
type redisGuards struct {
	shared *failopen.Guard // REDIS_URL
	queue  *failopen.Guard // QUEUE_REDIS_URL
}

func (p *process) guardRedis() redisGuards {
	options := failopen.Options{
		URL: p.config.RedisURL, Name: "shared",
		Timeout: p.config.RedisTimeout, DialTimeout: p.config.RedisDialTimeout, PoolTimeout: p.config.RedisPoolTimeout,
		PoolSize: p.config.RedisPoolSize, MinIdle: p.config.RedisMinIdle, MaxInFlight: p.config.RedisMaxInFlight,
		Failures: p.config.RedisFailures, ProbeInterval: p.config.RedisProbeInterval,
		Metrics: failopen.NewMetrics(p.registry),
	}
	guards := redisGuards{shared: failopen.NewGuard(options, p.reporter)}
	guards.queue = guards.shared
	if p.config.QueueRedisURL != p.config.RedisURL {
		options.URL, options.Name = p.config.QueueRedisURL, "queue"
		guards.queue = failopen.NewGuard(options, p.reporter)
	}
	return guards
}

// run lets the guards find their way back after an outage.
func (g redisGuards) run(ctx context.Context) error {
	if g.queue == g.shared {
		return g.shared.Run(ctx)
	}
	queue := make(chan error, 1)
	go func() { queue <- g.queue.Run(ctx) }()
	return errors.Join(g.shared.Run(ctx), <-queue)
}

// The checks of /health. To add one, write it here and name it in its roles.

// redisChecks are failed when Redis does not take writes. A role that can do
// without it is degraded then.
func (g redisGuards) redisChecks(critical bool) []health.Check {
	checks := []health.Check{{Name: "redis", Critical: critical, Disabled: g.shared.Disabled(), Probe: g.shared.Check}}
	if g.queue != g.shared {
		checks = append(checks, health.Check{Name: "queue_redis", Critical: critical, Disabled: g.queue.Disabled(), Probe: g.queue.Check})
	}
	return checks
}

// geoIPCheck is failed while there is no usable country database. It also is
// what notices a new one.
func geoIPCheck(countries *throttle.Countries) []health.Check {
	if countries == nil {
		return nil
	}
	return []health.Check{{Name: "geoip", Every: 10 * time.Second, Probe: countries.Refresh}}
}

// backlog looks at what waits for a worker. A role that has no jobs leaves db
// nil, one that has no tasks guards.
func (p *process) backlog(db *pgxpool.Pool, guards *redisGuards) (*jobs.Backlog, error) {
	backlog := jobs.NewBacklog(p.config.QueueLatencyAlert, p.registry)
	if db != nil {
		backlog.Jobs(db)
	}
	if guards != nil {
		if err := backlog.Tasks(guards.queue); err != nil {
			return nil, err
		}
	}
	return backlog, nil
}

// queuesCheck is failed while a job or task waits too long for a worker.
func queuesCheck(backlog *jobs.Backlog) health.Check {
	return health.Check{Name: "queues", Every: 5 * time.Second, Again: time.Second, Timeout: 2 * time.Second, Probe: backlog.Check}
}

// workingCheck is failed until a worker has begun to take work.
func workingCheck(name string, started func() bool) health.Check {
	return health.Check{Name: name, Critical: true, Probe: func(context.Context) error {
		if !started() {
			return errors.New("waiting for its backend to begin")
		}
		return nil
	}}
}

// mailSender is the mail server, or the directory where there is none.
func (p *process) mailSender() (mail.Sender, error) {
	if p.config.SMTPURL != "" {
		return mail.NewSMTP(p.config.SMTPURL, p.config.MailFrom)
	}
	return mail.NewDirectory(p.config.MailDir, p.config.MailFrom), nil
}
