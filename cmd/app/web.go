package main

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"slipway/internal/cache"
	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/mail"
	"slipway/internal/payment"
	"slipway/internal/postgres"
	"slipway/internal/shop"
	"slipway/internal/storefront"
	"slipway/internal/throttle"
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
	databaseGuard := postgres.NewGuard(p.config.DatabaseAcquireTimeout, p.config.DatabaseQueueLimit, p.reporter)
	db, err := p.openDatabase(ctx, config.Web, p.config.DatabaseStatementTimeout, databaseGuard)
	if err != nil {
		return err
	}
	defer postgres.Close(db)
	guards := p.guardRedis()
	redis, err := failopen.Open(guards.shared)
	if err != nil {
		return err
	}
	defer redis.Close()

	metrics := jobs.NewMetrics(p.registry)
	queue, err := jobs.NewJobs(db, metrics)
	if err != nil {
		return err
	}
	tasks, err := jobs.NewTasks(guards.queue, queue, metrics)
	if err != nil {
		return err
	}
	defer tasks.Close()

	kept := cache.New(redis, cache.Options{}, p.registry)
	defer kept.Close()
	store := shop.New(shop.Options{
		DB: db, Jobs: queue, Tasks: tasks, Gateway: payment.NewSandbox(p.config.PaymentTimeout), Cache: kept, Redis: redis,
		BaseURL: strings.TrimSuffix(p.config.BaseURL, "/"), Log: p.log, Registry: p.registry,
		OrderLimit: shop.OrderLimit{Orders: p.config.OrderLimit, Period: p.config.OrderLimitPeriod},
		SaleHold:   p.config.FlashSaleHold, SaleLimit: p.config.FlashSaleLimitPerCart,
	})
	hub := live.NewHub(p.config.RedisURL, redis, live.StreamOptions{Lifetime: p.config.LiveStreamLifetime, Limit: p.config.LiveStreamLimit}, p.reporter, p.registry)
	pages, err := storefront.New(storefront.Options{
		Shop: store, Hub: hub, AssetsDir: p.config.AssetsDir, Secret: p.config.SecretKeyBase, Secure: strings.HasPrefix(p.config.BaseURL, "https://"),
		Cards: payment.TestCards, Development: p.config.Environment == config.Development,
		Mails: mail.NewDirectory(p.config.MailDir, p.config.MailFrom), PageTimeout: p.config.RequestTimeout,
		SaleHold: p.config.FlashSaleHold, SaleLimit: p.config.FlashSaleLimitPerCart,
		Stale: web.NewStale(p.config.ServeStaleFor, p.config.StaleCacheSize, p.registry),
	})
	if err != nil {
		return err
	}

	database, err := p.databaseCheck(databaseGuard)
	if err != nil {
		return err
	}
	clients := throttle.NewClients(p.config.ThrottleTrustedProxies, p.config.ThrottleIPv6Prefix, p.log)
	countries := p.countries()
	limits, err := p.throttle(redis, clients, pages, countries)
	if err != nil {
		return err
	}
	backlog, err := p.backlog(db, &guards)
	if err != nil {
		return err
	}
	defer backlog.Close()
	checks := health.New(p.registry, slices.Concat(
		[]health.Check{database, poolCheck(databaseGuard, db), queuesCheck(backlog)}, guards.redisChecks(false), geoIPCheck(countries),
	)...)

	server := web.New(web.Options{
		Log: p.log, Registry: p.registry, Reporter: p.reporter, Health: checks,
		RedisBudget: p.config.RedisBudget, MaxRequestBody: p.config.MaxRequestBody, Clients: clients, Throttle: limits,
		Status: storefront.ErrorStatus, ErrorPage: pages.ErrorPage,
	}, pages.Routes)
	checks.Booted()

	return p.run(ctx, p.serve(server, hub), p.ops(checks), checks.Run, guards.run, hub.Run, p.heedSignals(checks, nil))
}

// serve is the public listener. Event streams end first: they would hold up
// the shutdown, and their browsers come back by themselves.
func (p *process) serve(handler http.Handler, hub *live.Hub) service {
	return func(ctx context.Context) error {
		return web.Serve(ctx, p.address(p.config.Port), handler, p.config.ShutdownTimeout, hub.Close, p.log)
	}
}
