package main

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"slipway/internal/edge/certificate"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/postgres"
	"slipway/internal/throttle"
)

// The checks of /health. To add one, write a function here and name it in its
// roles.

// databaseCheck fails when the database is unavailable, refuses this process or
// takes no writes. It keeps /up at 503 while the schema is older than this build
// needs, and from the start while the database refuses this process.
func (b *backends) databaseCheck(migrations fs.FS) (health.Check, error) {
	schema, err := postgres.NeededSchema(migrations)
	if err != nil {
		return health.Check{}, err
	}
	monitor := postgres.NewMonitor(postgres.NewProbe(b.db, schema), b.databaseGuard, b.reporter, b.log)
	return health.Check{
		Name: "database", Critical: true, Gate: true, Every: 500 * time.Millisecond, RetryEvery: 100 * time.Millisecond,
		Probe: func(ctx context.Context) error { return databaseFinding(monitor.Check(ctx)) },
	}, nil
}

// writesCheck fails while commits do not complete, for example because a
// synchronous standby is lost: then nothing can be sold. Its probe writes, so it
// runs less often than that of databaseCheck.
func (b *backends) writesCheck() health.Check {
	probe := postgres.NewWriteProbe(b.db, b.databaseGuard, b.reporter)
	return health.Check{
		Name: "writes", Critical: true, Every: 5 * time.Second, RetryEvery: time.Second, Timeout: 3 * time.Second,
		Probe: func(ctx context.Context) error { return databaseFinding(probe.Check(ctx)) },
	}
}

// poolCheck fails while pages wait in vain for a connection, or jobs and tasks for
// long. The role is then busy, not broken.
func (b *backends) poolCheck() health.Check {
	check := health.Check{Name: "pool", Probe: func(context.Context) error { return b.databaseGuard.CheckPool(b.db) }}
	if b.databaseGuard == nil {
		check.Probe = func(context.Context) error {
			if err := b.databaseWaits.CheckPool(b.db); err != nil {
				return health.Finding{Status: health.Degraded, Reason: err.Error()}
			}
			return nil
		}
	}
	return check
}

// redisChecks fail when Redis does not serve calls like those of the application.
// A failure makes a critical check an error, and degrades a role that can do
// without Redis.
func (b *backends) redisChecks(critical bool) []health.Check {
	check := func(name string, guard *failopen.Guard) health.Check {
		return health.Check{
			Name: name, Critical: critical, Disabled: guard.Disabled(),
			Probe: func(ctx context.Context) error { return redisFinding(guard.Check(ctx), critical) },
		}
	}
	checks := []health.Check{check("redis", b.guards.shared)}
	if b.guards.queue != b.guards.shared {
		checks = append(checks, check("queue_redis", b.guards.queue))
	}
	return checks
}

// geoIPCheck fails while there is no usable country database. It also loads a
// database that was replaced.
func geoIPCheck(countries *throttle.Countries) []health.Check {
	if countries == nil {
		return nil
	}
	return []health.Check{{Name: "geoip", Every: 10 * time.Second, Probe: countries.Refresh}}
}

// certificatesCheck fails while a domain has no certificate, or one that is not renewed.
func certificatesCheck(domains *certificate.Domains) []health.Check {
	if domains == nil {
		return nil
	}
	return []health.Check{{Name: "certificates", Every: 10 * time.Second, Probe: domains.Check}}
}

// queuesCheck fails while a job or task waits too long for a worker.
func queuesCheck(backlog *jobs.Backlog) health.Check {
	return health.Check{Name: queuesCheckName, Every: 5 * time.Second, RetryEvery: time.Second, Timeout: 2 * time.Second, Probe: backlog.Check}
}

// rightsCheck fails while the database does not let a worker use a table of the
// runtime.
func (b *backends) rightsCheck() health.Check {
	rights := jobs.NewRights(b.db, b.log)
	return health.Check{Name: "rights", Critical: true, Every: 30 * time.Second, RetryEvery: 5 * time.Second, Timeout: 2 * time.Second,
		Probe: func(ctx context.Context) error {
			if err := rights.Check(ctx); err != nil {
				return health.Finding{Status: health.Error, Reason: err.Error()}
			}
			return nil
		}}
}

// workingCheck fails until a worker has begun to fetch work.
func workingCheck(name string, started func() bool) health.Check {
	return health.Check{Name: name, Critical: true, Probe: func(context.Context) error {
		if !started() {
			return errors.New("the worker waits for its backend before it takes work")
		}
		return nil
	}}
}

// stuckCheck fails while handlers of a worker ignore the end of their context.
func stuckCheck(stuck func() error) health.Check {
	return health.Check{Name: "stuck", Probe: func(context.Context) error {
		if err := stuck(); err != nil {
			return health.Finding{Status: health.Degraded, Reason: err.Error()}
		}
		return nil
	}}
}

// Private

// queuesCheckName is the check that fails when work waits for too long.
const queuesCheckName = "queues"

// databaseFinding is what /health shows of a result of postgres.Monitor or
// postgres.WriteProbe.
func databaseFinding(err error) error {
	switch {
	case postgres.OutcomeOf(err) == postgres.Refused:
		return health.Refused(health.Finding{Status: health.Error, Reason: postgres.Refusal(err)})
	case errors.Is(err, postgres.ErrSchemaOld):
		return health.NotReady(err)
	case errors.Is(err, postgres.ErrReadOnlyRecently):
		return health.Finding{Status: health.Degraded, Reason: "read_only"}
	case errors.Is(err, postgres.ErrReadOnly):
		return health.Finding{Status: health.Error, Reason: "read_only"}
	case errors.Is(err, postgres.ErrDiskFull):
		return health.Finding{Status: health.Error, Reason: "disk_full"}
	case errors.Is(err, postgres.ErrCommits):
		return health.Finding{Status: health.Error, Reason: err.Error()}
	default:
		return err
	}
}

// redisFinding is what /health shows of a result of failopen.Guard.Check: the
// fault in words.
func redisFinding(err error, critical bool) error {
	var fault *failopen.Fault
	if !errors.As(err, &fault) {
		return err
	}
	if critical && !fault.Usable {
		return health.Finding{Status: health.Error, Reason: fault.Error()}
	}
	return health.Finding{Status: health.Degraded, Reason: fault.Error()}
}

// backlog measures the queues of both backends. Its check judges the given ones.
func (b *backends) backlog(judged ...jobs.Backend) (*jobs.Backlog, error) {
	backlog := jobs.NewBacklog(b.config.QueueLatencyAlert, b.registry, judged...)
	backlog.Jobs(b.db, b.queues)
	if err := backlog.Tasks(b.db, b.guards.queue, b.queues); err != nil {
		return nil, err
	}
	return backlog, nil
}
