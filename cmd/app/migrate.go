package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/postgres"
)

func newMigrateCommand(app application) *cobra.Command {
	command := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database to the schema that this build needs",
		Long: "Apply the migrations that are missing: those of the runtime, of the application and of River. Any number of\n" +
			"processes may do it at once; one migrates and the others wait for it.\n\n" + app.help(config.Migrate),
		Example: "  app migrate\n  app migrate status\n  app migrate down",
		RunE: func(c *cobra.Command, _ []string) error {
			return withMigrator(c, app, func(ctx context.Context, _ *process, migrator *postgres.Migrator) error {
				applied, err := migrator.Migrate(ctx)
				if err != nil {
					return err
				}
				if applied == 0 {
					fmt.Fprintln(c.OutOrStdout(), "The schema is up to date.")
					return nil
				}
				fmt.Fprintf(c.OutOrStdout(), "Migrations applied: %d. The schema is up to date.\n", applied)
				return nil
			})
		},
	}
	command.AddCommand(newMigrateStatusCommand(app), newMigrateDownCommand(app))
	return command
}

func newMigrateStatusCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "List all migrations; exit code 1 when any is missing or differs",
		Long: "List all migrations and whether they are applied, also those that a newer build has applied. Exit code 1 when\n" +
			"any is missing, or when the database has applied another file under its number.\n\n" + app.help(config.Migrate),
		Example: "  app migrate status",
		RunE: func(c *cobra.Command, _ []string) error {
			return withMigrator(c, app, func(ctx context.Context, _ *process, migrator *postgres.Migrator) error {
				all, err := migrator.Status(ctx)
				if err != nil {
					return err
				}
				missing, different := 0, 0
				table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, migration := range all {
					state := stateOf(migration)
					if !migration.Applied {
						missing++
					}
					if migration.Problem != "" {
						different++
					}
					fmt.Fprintf(table, "%s\t%s\n", migration.Name, state)
				}
				if err := table.Flush(); err != nil {
					return err
				}
				if different > 0 {
					return &exitError{code: exitFailed, err: fmt.Errorf("%d migrations cannot be applied as they are", different)}
				}
				if missing > 0 {
					return &exitError{code: exitFailed, err: fmt.Errorf("%d migrations are missing: run app migrate", missing)}
				}
				return nil
			})
		},
	}
}

func newMigrateDownCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Take back the newest migration; in development only",
		Long: "Take back the newest migration that is applied, with what it has stored. For development only: in production,\n" +
			"older code runs on a newer schema, and a new migration corrects a wrong one.\n\n" + app.help(config.Migrate),
		Example: "  app migrate down",
		RunE: func(c *cobra.Command, _ []string) error {
			return withMigrator(c, app, func(ctx context.Context, p *process, migrator *postgres.Migrator) error {
				if p.config.Environment == config.Production {
					return &exitError{code: exitUsage, err: errDownInProduction}
				}
				name, err := migrator.Down(ctx)
				switch {
				case err != nil:
					return err
				case name == "":
					fmt.Fprintln(c.OutOrStdout(), "No migration is applied.")
				default:
					fmt.Fprintf(c.OutOrStdout(), "Took back %s.\n", name)
				}
				return nil
			})
		},
	}
}

// Private

// stateOf describes a migration in a line of the status.
func stateOf(migration postgres.Migration) string {
	switch {
	case !migration.Applied && migration.Problem == "":
		return "missing"
	case !migration.Applied:
		return "missing: " + migration.Problem
	case migration.Problem != "":
		return "differs: " + migration.Problem
	}
	state := "applied"
	if !migration.AppliedAt.IsZero() {
		state += " " + migration.AppliedAt.UTC().Format(time.RFC3339)
	}
	if migration.Unknown {
		state += ", unknown to this build"
	}
	return state
}

var errDownInProduction = errors.New("migrate down works in development only, because older code runs on a newer schema: " +
	"correct a wrong migration by a new one")

// migrateTimeout bounds all migrations together with the wait for another
// process that migrates the same database.
const migrateTimeout = 10 * time.Minute

func withMigrator(c *cobra.Command, app application, use func(context.Context, *process, *postgres.Migrator) error) error {
	p, err := newProcess(c, app, config.Migrate)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.Context(), migrateTimeout)
	defer cancel()
	migrator, err := postgres.NewMigrator(ctx, p.config.DatabaseURL, p.config.DatabaseConnectTimeout, app.migrations, p.log)
	if err != nil {
		return err
	}
	defer migrator.Close()
	return use(ctx, p, migrator)
}
