package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/postgres"
)

// seedTimeout bounds the whole command.
const seedTimeout = time.Minute

func newSeedCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:     "seed",
		Short:   "Store the sample data",
		Long:    "Store the sample data. " + app.seedHelp + "\n\n" + app.help(config.Seed),
		Example: "  app migrate && app seed",
		RunE: func(c *cobra.Command, _ []string) error {
			if app.seed == nil {
				fmt.Fprintln(c.OutOrStdout(), "This application has no sample data.") // compose files and deploys run seed in any case
				return nil
			}
			p, err := newProcess(c, app, config.Seed)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), seedTimeout)
			defer cancel()
			db, err := postgres.Open(ctx, postgres.Options{
				URL: p.config.DatabaseURL, Name: "app seed", PoolSize: 1,
				ConnectTimeout: p.config.DatabaseConnectTimeout, StatementTimeout: seedTimeout,
				LockTimeout: 10 * time.Second, PingTimeout: time.Second,
			})
			if err != nil {
				return err
			}
			defer db.Close()

			report, err := app.seed(ctx, db, p.log)
			fmt.Fprint(c.OutOrStdout(), report)
			if err != nil {
				return fmt.Errorf("seed (has app migrate run?): %w", err)
			}
			return nil
		},
	}
}
