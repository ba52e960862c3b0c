package main

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/postgres"
	"slipway/internal/shop"
	"slipway/internal/telemetry"
)

func newSeedCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "seed",
		Short: "Fill the store with the sample catalogue",
		Long: "Store the sample catalogue. It may run again at any time: words, pictures and prices\n" +
			"become those of the sample, stock stays as it is. Where no flash sale is under way or to\n" +
			"come, one begins.\n\n" + config.Help(config.Seed),
		Example: "  app migrate && app seed",
		RunE: func(c *cobra.Command, _ []string) error {
			settings, err := loadConfig(config.Seed)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), time.Minute)
			defer cancel()
			db, err := postgres.Open(ctx, postgres.Options{
				URL: settings.DatabaseURL, Name: "app seed", PoolSize: 1,
				ConnectTimeout: settings.DatabaseConnectTimeout, StatementTimeout: time.Minute,
				LockTimeout: 10 * time.Second, PingTimeout: time.Second,
			})
			if err != nil {
				return err
			}
			defer db.Close()

			log := telemetry.NewLogger(c.ErrOrStderr(), settings.LogLevel, settings.LogFormat == config.LogJSON, "seed")
			store := shop.New(shop.Options{DB: db, Log: log, Registry: prometheus.NewRegistry()})
			products, err := store.Seed(ctx)
			if err != nil {
				return fmt.Errorf("seed (has app migrate run?): %w", err)
			}
			fmt.Fprintf(c.OutOrStdout(), "The store has the %d products of the sample catalogue.\n", products)
			sale, made, err := store.SeedSale(ctx)
			if err != nil {
				return err
			}
			if made {
				fmt.Fprintf(c.OutOrStdout(), "A flash sale of %d x %s at %s runs until %s.\n", sale.Units, sale.Product.Name, sale.Price, sale.EndsAt.Format("15:04 MST"))
			}
			return nil
		},
	}
}
