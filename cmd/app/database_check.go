package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/health"
	"slipway/internal/postgres"
	"slipway/internal/shop"
)

// readOnlyPatience is how long the database may take no writes before nothing
// can be sold: a failover takes about as long.
const readOnlyPatience = 5 * time.Second

// databaseCheck is failed when the database does not answer or takes no
// writes, and keeps /up closed when its schema is too old. What it finds out
// opens and closes guard, which is nil for a worker.
func (p *process) databaseCheck(guard *postgres.Guard) (health.Check, error) {
	schema, err := postgres.NeededSchema(shop.Migrations())
	if err != nil {
		return health.Check{}, err
	}
	probe, err := postgres.NewProbe(p.config.DatabaseURL, p.config.DatabaseConnectTimeout, schema)
	if err != nil {
		return health.Check{}, err
	}
	var readOnlySince time.Time
	return health.Check{Name: "database", Critical: true, Gate: true, Every: 500 * time.Millisecond, Again: 100 * time.Millisecond, Probe: func(ctx context.Context) error {
		began := time.Now()
		err := probe.Check(ctx)
		if guard != nil {
			guard.Observe(began, err)
		}
		if !errors.Is(err, postgres.ErrSchemaOld) {
			p.reporter.Report("PostgreSQL", "Probe.Check", err)
		}
		if !errors.Is(err, postgres.ErrReadOnly) {
			readOnlySince = time.Time{}
		}
		switch {
		case errors.Is(err, postgres.ErrSchemaOld):
			return health.NotReady(err)
		case errors.Is(err, postgres.ErrReadOnly):
			if readOnlySince.IsZero() {
				readOnlySince = began
			}
			if time.Since(readOnlySince) < readOnlyPatience {
				return health.Finding{Status: health.Degraded, Reason: "read_only"}
			}
			return health.Finding{Status: health.Error, Reason: "read_only"}
		case err == nil && guard != nil && guard.DiskFull():
			return health.Finding{Status: health.Error, Reason: "disk_full"}
		}
		return err
	}}, nil
}

// poolCheck is failed while requests wait in vain for a connection. The role
// is busy then and not broken.
func poolCheck(guard *postgres.Guard, db *pgxpool.Pool) health.Check {
	return health.Check{Name: "pool", Probe: func(context.Context) error { return guard.CheckPool(db) }}
}
