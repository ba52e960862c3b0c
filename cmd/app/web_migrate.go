package main

import (
	"context"
	"fmt"
	"io/fs"
	"os/signal"
	"syscall"
	"time"

	"slipway/internal/postgres"
)

// Private

// migrateRetry is the pause between two attempts of migrateFirst to reach PostgreSQL.
const migrateRetry = time.Second

// migrateFirst brings the database to the schema of this build before a role serves.
// Unlike app migrate, it waits while PostgreSQL is unavailable, because the container
// of a new database may still start. It returns true when the schema is up to date,
// false when SIGTERM or SIGINT came first, and an error when a migration fails or
// all of it takes longer than migrateTimeout.
func (p *process) migrateFirst(ctx context.Context, migrations fs.FS) (bool, error) {
	signalled, release := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer release()
	ctx, cancel := context.WithTimeout(signalled, migrateTimeout)
	defer cancel()
	migrator, err := postgres.NewMigrator(ctx, p.config.DatabaseURL, p.config.DatabaseConnectTimeout, migrations, p.log)
	if err != nil {
		return false, err
	}
	defer migrator.Close()

	for waits := false; ; waits = true {
		applied, err := migrator.Migrate(ctx)
		switch {
		case err == nil:
			p.log.Info("Schema is up to date", "applied", applied)
			return true, nil
		case signalled.Err() != nil:
			p.log.Info("Role stopped")
			return false, nil
		case ctx.Err() != nil, applied > 0, postgres.OutcomeOf(err) != postgres.Unavailable:
			return false, fmt.Errorf("migrate before serving: %w", err)
		case !waits:
			p.log.Warn("Migration waits for PostgreSQL", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(migrateRetry):
		}
	}
}
