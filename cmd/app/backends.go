package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/mail"
	"slipway/internal/postgres"
	"slipway/internal/shop"
)

// openDatabase prepares the pool of a role. It does not connect.
func (p *process) openDatabase(ctx context.Context, role config.Role, statementTimeout time.Duration) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, postgres.Options{
		URL:              p.config.DatabaseURL,
		Name:             "app " + string(role),
		PoolSize:         p.config.DatabasePoolSize,
		ConnectTimeout:   p.config.DatabaseConnectTimeout,
		StatementTimeout: statementTimeout,
		LockTimeout:      p.config.DatabaseLockTimeout,
		PingTimeout:      p.config.DatabasePingTimeout,
	})
}

// redisGuards are the guards of both uses of Redis. They are one and the same
// where both use one Redis: what one finds out serves the other.
type redisGuards struct {
	shared *failopen.Guard // REDIS_URL
	queue  *failopen.Guard // QUEUE_REDIS_URL
}

func (p *process) guardRedis() redisGuards {
	guards := redisGuards{shared: failopen.NewGuard(p.config.RedisURL, p.config.RedisTimeout, p.reporter)}
	guards.queue = guards.shared
	if p.config.QueueRedisURL != p.config.RedisURL {
		guards.queue = failopen.NewGuard(p.config.QueueRedisURL, p.config.RedisTimeout, p.reporter)
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

// databaseCheck is failed when the database does not answer, and keeps /up
// closed when its schema is too old.
func (p *process) databaseCheck() (health.Check, error) {
	schema, err := postgres.NeededSchema(shop.Migrations())
	if err != nil {
		return health.Check{}, err
	}
	probe, err := postgres.NewProbe(p.config.DatabaseURL, p.config.DatabaseConnectTimeout, schema)
	if err != nil {
		return health.Check{}, err
	}
	return health.Check{Name: "database", Critical: true, Gate: true, Probe: func(ctx context.Context) error {
		err := probe.Check(ctx)
		if errors.Is(err, postgres.ErrSchemaOld) {
			return health.NotReady(err)
		}
		return err
	}}, nil
}

// redisChecks are failed when Redis does not take writes. A role that can do
// without it is degraded then.
func (g redisGuards) redisChecks(critical bool) []health.Check {
	checks := []health.Check{{Name: "redis", Critical: critical, Disabled: g.shared.Disabled(), Probe: g.shared.Probe}}
	if g.queue != g.shared {
		checks = append(checks, health.Check{Name: "queue_redis", Critical: critical, Disabled: g.queue.Disabled(), Probe: g.queue.Probe})
	}
	return checks
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
