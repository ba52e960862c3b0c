package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/payment"
	"slipway/internal/shop"
	"slipway/internal/storefront"
	"slipway/internal/web"
)

func newWebCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "web",
		Short: "Serve the store's pages",
		Long: "Serve the store's pages on PORT, and /up, /health and /metrics on OPS_PORT.\n" +
			"On SIGTERM, requests under way are finished within SHUTDOWN_TIMEOUT.\n\n" + config.Help(config.Web),
		Example: "  DATABASE_URL=postgres://localhost/shop REDIS_URL=redis://localhost:6379/0 app web",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := startRole(c, config.Web)
			if err != nil {
				return err
			}
			return runWeb(c.Context(), p)
		},
	}
}

func runWeb(ctx context.Context, p *process) error {
	db, err := p.openDatabase(ctx, config.Web, p.config.DatabaseStatementTimeout)
	if err != nil {
		return err
	}
	defer db.Close()
	guards := p.guardRedis()
	redis, err := failopen.Open(guards.shared, p.config.RedisPoolSize)
	if err != nil {
		return err
	}
	defer redis.Close()

	metrics := jobs.NewMetrics(p.registry)
	queue, err := jobs.NewJobs(db, metrics)
	if err != nil {
		return err
	}
	tasks, err := jobs.NewTasks(guards.queue, p.config.QueueRedisURL, p.config.RedisPoolSize, p.config.RedisTimeout, metrics)
	if err != nil {
		return err
	}
	defer tasks.Close()

	store := shop.New(shop.Options{
		DB: db, Jobs: queue, Tasks: tasks, Gateway: payment.NewSandbox(p.config.PaymentTimeout),
		BaseURL: strings.TrimSuffix(p.config.BaseURL, "/"), Log: p.log, Registry: p.registry,
	})
	hub := live.NewHub(p.config.RedisURL, redis, live.StreamOptions{Lifetime: p.config.LiveStreamLifetime, Limit: p.config.LiveStreamLimit}, p.reporter, p.registry)
	pages, err := storefront.New(storefront.Options{
		Shop: store, Hub: hub, AssetsDir: p.config.AssetsDir, Secret: p.config.SecretKeyBase, Secure: strings.HasPrefix(p.config.BaseURL, "https://"),
		Cards: payment.TestCards, Development: p.config.Environment == config.Development,
		Mails: mail.NewDirectory(p.config.MailDir, p.config.MailFrom), PageTimeout: p.config.RequestTimeout,
	})
	if err != nil {
		return err
	}

	database, err := p.databaseCheck()
	if err != nil {
		return err
	}
	checks := health.New(p.registry, append([]health.Check{database}, guards.redisChecks(false)...)...)

	server := web.New(web.Options{
		Log: p.log, Registry: p.registry, Health: checks,
		RedisBudget: p.config.RedisBudget, MaxRequestBody: p.config.MaxRequestBody,
		Status: storefront.ErrorStatus, ErrorPage: pages.ErrorPage,
	}, pages.Routes)
	checks.Booted()

	return p.run(ctx, p.serve(server, hub), p.ops(checks), checks.Run, guards.run, hub.Run)
}

// serve is the public listener. Event streams end first: they would hold up
// the shutdown, and their browsers come back by themselves.
func (p *process) serve(handler http.Handler, hub *live.Hub) service {
	return func(ctx context.Context) error {
		return web.Serve(ctx, p.address(p.config.Port), handler, p.config.ShutdownTimeout, hub.Close, p.log)
	}
}
