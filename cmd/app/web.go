package main

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/cache"
	"slipway/internal/config"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

func newWebCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "web",
		Short: "Serve the pages",
		Long: "Serve the pages on PORT, and /up, /health and /metrics on OPS_PORT.\n" +
			"On SIGTERM, requests under way are finished within SHUTDOWN_TIMEOUT.\n\n" + app.help(config.Web),
		Example: "  DATABASE_URL=postgres://localhost/app REDIS_URL=redis://localhost:6379/0 app web",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := startRole(c, app, config.Web)
			if err != nil {
				return err
			}
			return runWeb(c.Context(), p, app)
		},
	}
}

func runWeb(ctx context.Context, p *process, app application) error {
	options := p.roleOptions(config.Web, p.config.DatabaseStatementTimeout)
	options.guarded, options.cache = true, &cache.Options{}
	b, err := p.connect(ctx, options)
	if err != nil {
		return err
	}
	defer b.close()

	streams := live.StreamOptions{Lifetime: p.config.LiveStreamLifetime, Limit: p.config.LiveStreamLimit}
	hub := live.NewHub(p.config.RedisURL, b.redis, streams, p.reporter, p.registry)
	stale := web.NewStale(web.StaleOptions{
		MaxAge: p.config.ServeStaleFor, Size: p.config.StaleCacheSize, RedisBudget: p.config.RedisBudget,
		Log: p.log, Reporter: p.reporter, Registry: p.registry,
	})
	pages, err := app.pages(b, hub, stale)
	if err != nil {
		return err
	}

	clients := throttle.NewClients(p.config.ThrottleTrustedProxies, p.config.ThrottleIPv6Prefix, p.log)
	countries := p.countries()
	limiter, err := b.limiter(clients, countries, pages)
	if err != nil {
		return err
	}
	database, err := b.databaseCheck(app.migrations)
	if err != nil {
		return err
	}
	backlog, err := b.backlog(jobs.PG, jobs.Redis)
	if err != nil {
		return err
	}
	defer backlog.Close()
	checks := health.New(p.registry, slices.Concat(
		[]health.Check{database, b.writesCheck(), b.poolCheck(), queuesCheck(backlog)}, b.redisChecks(false), geoIPCheck(countries),
	)...)

	server := web.New(web.Options{
		Log: p.log, Registry: p.registry, Reporter: p.reporter, Health: checks,
		RedisBudget: p.config.RedisBudget, MaxRequestBody: p.config.MaxRequestBody, BaseURL: p.config.BaseURL,
		Clients: clients, Throttle: limiter, CrossOriginRoutes: pages.CrossOriginRoutes(),
	}, pages)
	checks.Booted()

	return p.run(ctx, p.serve(server, hub), p.ops(checks), checks.Run, b.guards.run, hub.Run, stale.Run, p.handleSignals(checks, nil))
}

// Private

// serve is the public listener. A shutdown ends event streams first: they would
// hold it up, and browsers reconnect by themselves.
func (p *process) serve(handler http.Handler, hub *live.Hub) service {
	return func(ctx context.Context) error {
		return web.Serve(ctx, p.address(p.config.Port), handler, p.config.ShutdownTimeout, hub.Close, p.log)
	}
}

// limiter applies the limits of pages. It is nil when limits are switched off.
func (b *backends) limiter(clients *throttle.Clients, countries *throttle.Countries, pages pages) (*throttle.Limiter, error) {
	if !b.config.ThrottleEnabled {
		b.log.Warn("Requests are not limited: RACK_ATTACK_ENABLED is false")
		return nil, nil
	}
	rules := pages.Limits(throttle.Settings{
		Safelist: b.config.ThrottleSafelist, Blocklist: b.config.ThrottleBlocklist, Countries: countries,
		Requests: int(b.config.ThrottleRequestLimit), RequestPeriod: time.Duration(b.config.ThrottleRequestPeriod),
		Logins: int(b.config.ThrottleLoginLimit), LoginPeriod: time.Duration(b.config.ThrottleLoginPeriod),
		FailedLogins: throttle.Ban{
			After:  int(b.config.ThrottleFailedLoginLimit),
			Within: time.Duration(b.config.ThrottleFailedLoginPeriod),
			For:    time.Duration(b.config.ThrottleFailedLoginTTL),
		},
	})
	return throttle.New(throttle.Options{
		Redis: b.redis, Clients: clients, Rules: rules, Sliding: b.config.ThrottleWindow == config.Sliding,
		FallbackDivisor: b.config.ThrottleFallbackDivisor, Log: b.log, Registry: b.registry,
	})
}

// countries refuses clients by their country. It is nil when every country is
// allowed.
func (p *process) countries() *throttle.Countries {
	if !p.config.ThrottleEnabled || p.config.GeoIPDatabase == "" {
		return nil
	}
	return throttle.NewCountries(p.config.GeoIPDatabase, p.config.BlockedCountries, p.config.AllowedCountries, p.log)
}
