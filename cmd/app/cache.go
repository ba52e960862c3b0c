package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/edge/purge"
	"slipway/internal/postgres"
)

func newCacheCommand(app application) *cobra.Command {
	command := &cobra.Command{
		Use:     "cache",
		Short:   "Show and purge the HTTP cache",
		Long:    "Show what the HTTP cache of web does, and remove pages from the caches of all web processes.",
		Example: "  app cache stats\n  app cache purge product:12\n  app cache purge --all",
		Args:    cobra.ArbitraryArgs,
		RunE:    requireSubcommand,
	}
	command.AddCommand(newCachePurgeCommand(app), newCacheStatsCommand(app))
	return command
}

func newCachePurgeCommand(app application) *cobra.Command {
	var all bool
	command := &cobra.Command{
		Use:   "purge [--all | tag …]",
		Short: "Remove pages from the HTTP caches",
		Long: "Remove the pages that have one of the tags from the HTTP caches of all web processes, or all pages.\n" +
			"It goes through PostgreSQL, and takes effect within a moment. Changes of the application purge\n" +
			"by themselves.\n\n" + app.help(config.Cache),
		Example: "  app cache purge product:12 catalogue\n  app cache purge --all",
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, tags []string) error {
			if all == (len(tags) > 0) {
				return &exitError{code: exitUsage, err: errors.New("name the tags of pages, or --all, and not both: app cache purge --help")}
			}
			p, err := newProcess(c, app, config.Cache)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), purgeTimeout)
			defer cancel()
			db, err := postgres.Open(ctx, postgres.Options{
				URL: p.config.DatabaseURL, Name: "app cache", PoolSize: 1,
				ConnectTimeout: p.config.DatabaseConnectTimeout, StatementTimeout: purgeTimeout,
				LockTimeout: purgeTimeout, PingTimeout: time.Second,
			})
			if err != nil {
				return err
			}
			defer db.Close()
			if all {
				err = purge.All(ctx, db)
			} else {
				err = purge.Purge(ctx, db, tags...)
			}
			if err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "Every web process was told to remove the pages.")
			return nil
		},
	}
	command.Flags().BoolVar(&all, "all", false, "remove all pages")
	return command
}

func newCacheStatsCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Show what the HTTP cache of web has done since its start",
		Long: "Show the counts of the HTTP cache and of compression since the start of the web process on\n" +
			"this machine, which it asks on OPS_PORT.\n\n" + app.help(config.Health),
		Example: "  app cache stats",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := newProcess(c, app, config.Health)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), 5*time.Second)
			defer cancel()
			status, metrics, err := p.askOps(ctx, "/metrics", maxMetrics)
			if err != nil {
				return err
			}
			if status != http.StatusOK {
				return fmt.Errorf("/metrics on OPS_PORT %d answers with status %d", p.config.OpsPort, status)
			}
			return printEdgeMetrics(c.OutOrStdout(), metrics)
		},
	}
}

// Private

const (
	purgeTimeout = 10 * time.Second
	maxMetrics   = 8 << 20 // bytes
)

// edgeCounts are the lines of app cache stats, in their order.
var edgeCounts = []struct{ metric, label, text string }{
	{"app_edge_requests_total", "hit", "Requests served from the cache"},
	{"app_edge_requests_total", "stale", "  while a page was renewed, or in place of an error"},
	{"app_edge_requests_total", "miss", "Requests that asked the application"},
	{"app_edge_requests_total", "bypass", "  without the cache"},
	{"app_edge_cache_keys", "", "Addresses in the cache"},
	{"app_edge_cache_bytes", "", "Their size in bytes"},
	{"app_edge_cache_evictions_total", "", "Addresses that made room for others"},
	{"app_edge_compressed_responses_total", "", "Responses compressed while they were sent"},
	{"app_edge_compressed_bytes_total", "in", "  bytes before"},
	{"app_edge_compressed_bytes_total", "out", "  bytes after"},
	{"app_edge_compression_busy_total", "", "Responses sent as they are because all encoders were in use"},
}

func printEdgeMetrics(w io.Writer, metrics string) error {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(metrics))
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	if families["app_edge_compressed_responses_total"] == nil {
		return errors.New("the process on OPS_PORT is not web: it has no metrics of the HTTP cache")
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, count := range edgeCounts {
		for _, metric := range families[count.metric].GetMetric() {
			label := ""
			if pairs := metric.GetLabel(); len(pairs) > 0 {
				label = pairs[0].GetValue()
			}
			if label == count.label {
				value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
				fmt.Fprintf(table, "%s\t%.0f\n", count.text, value)
			}
		}
	}
	return table.Flush()
}
