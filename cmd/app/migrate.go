package main

import (
	"context"
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
		Example: "  app migrate\n  app migrate status",
		RunE: func(c *cobra.Command, _ []string) error {
			return withMigrator(c, app, func(ctx context.Context, migrator *postgres.Migrator) error {
				applied, err := migrator.Migrate(ctx)
				if err != nil {
					return err
				}
				if applied == 0 {
					fmt.Fprintln(c.OutOrStdout(), "The schema is up to date.")
					return nil
				}
				fmt.Fprintf(c.OutOrStdout(), "Applied %d migrations. The schema is up to date.\n", applied)
				return nil
			})
		},
	}
	command.AddCommand(newMigrateStatusCommand(app))
	return command
}

func newMigrateStatusCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:     "status",
		Short:   "List all migrations; exit code 1 when any is missing",
		Long:    "List all migrations and whether they are applied. Exit code 1 when any is missing.\n\n" + app.help(config.Migrate),
		Example: "  app migrate status",
		RunE: func(c *cobra.Command, _ []string) error {
			return withMigrator(c, app, func(ctx context.Context, migrator *postgres.Migrator) error {
				all, err := migrator.Status(ctx)
				if err != nil {
					return err
				}
				missing := 0
				table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				for _, migration := range all {
					state := "applied"
					if !migration.Applied {
						state = "missing"
						missing++
					}
					if !migration.AppliedAt.IsZero() {
						state += " " + migration.AppliedAt.UTC().Format(time.RFC3339)
					}
					fmt.Fprintf(table, "%s\t%s\n", migration.Name, state)
				}
				if err := table.Flush(); err != nil {
					return err
				}
				if missing > 0 {
					return &exitError{code: exitFailed, err: fmt.Errorf("%d migrations are missing: run app migrate", missing)}
				}
				return nil
			})
		},
	}
}

// Private

// migrateTimeout bounds all migrations together with the wait for another
// process that migrates the same database.
const migrateTimeout = 10 * time.Minute

func withMigrator(c *cobra.Command, app application, use func(context.Context, *postgres.Migrator) error) error {
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
	return use(ctx, migrator)
}
