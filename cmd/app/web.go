package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/cache"
	"slipway/internal/config"
	"slipway/internal/edge/httpcache"
	"slipway/internal/edge/purge"
	"slipway/internal/edge/testorigin"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
	"slipway/internal/live"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

func newWebCommand(app application) *cobra.Command {
	var migrate bool
	command := &cobra.Command{
		Use:   "web",
		Short: "Serve the pages",
		Long: "Serve the pages on PORT, and /up, /health and /metrics on OPS_PORT.\n" +
			"With TLS_DOMAIN, serve them on HTTPS_PORT, and redirect from HTTP_PORT.\n" +
			"On SIGTERM, requests under way are finished within SHUTDOWN_TIMEOUT, and the process\n" +
			"ends at most " + webStopMargin.String() + " later: SIGKILL must not come before that.\n\n" + app.help(config.Web),
		Example: "  DATABASE_URL=postgres://localhost/app REDIS_URL=redis://localhost:6379/0 app web",
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := startRole(c, app, config.Web)
			if err != nil {
				return err
			}
			if migrate {
				if ready, err := p.migrateFirst(c.Context(), app.migrations); err != nil || !ready {
					return err
				}
			}
			return runWeb(c.Context(), p, app)
		},
	}
	command.Flags().BoolVar(&migrate, "migrate", false, "before serving, wait for PostgreSQL and do what app migrate does")
	return command
}

func runWeb(ctx context.Context, p *process, app application) error {
	domains, err := p.domains()
	if err != nil {
		return err
	}
	options := p.roleOptions(config.Web, p.config.DatabaseStatementTimeout)
	options.guarded, options.cache = true, &cache.Options{}
	b, err := p.connect(ctx, options)
	if err != nil {
		return err
	}
	defer b.close()

	streams := live.StreamOptions{Lifetime: p.config.LiveStreamLifetime, Limit: p.config.LiveStreamLimit}
	hub := live.NewHub(p.config.RedisURL, b.redis, streams, p.reporter, p.registry)
	pages, err := app.pages(b, hub)
	if err != nil {
		return err
	}

	clients := throttle.NewClients(p.config.ThrottleTrustedProxies, p.config.ThrottleIPv6Prefix, p.log)
	desk, err := b.desk(app, clients)
	if err != nil {
		return err
	}
	inspector, err := inspect.New(inspect.Options{DB: b.db, Jobs: b.jobs, Tasks: b.tasks, Kinds: b.declared.kinds()})
	if err != nil {
		return err
	}
	screens, err := b.dashboard(app, desk, inspector)
	if err != nil {
		return err
	}
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
		[]health.Check{database, b.writesCheck(), b.poolCheck(), queuesCheck(backlog)}, b.redisChecks(false),
		geoIPCheck(countries), certificatesCheck(domains),
	)...)

	webOptions := web.Options{
		Log: p.log, Registry: p.registry, Reporter: p.reporter, Health: checks,
		RedisBudget: p.config.RedisBudget, MaxRequestBody: p.config.MaxRequestBody, BaseURL: p.config.BaseURL,
		CacheSize: p.config.CacheSize, MaxCacheItem: p.config.MaxCacheItemSize, StaleFor: p.config.ServeStaleFor,
		Tracer: p.pulse.tracer, Asked: p.pulse.client(),
		Clients: clients, Throttle: limiter, CrossOriginRoutes: pages.CrossOriginRoutes(),
		Tools:       []web.Tool{screens, b.opsDashboard(desk, inspector)},
		Development: p.config.Environment == config.Development,
	}
	if p.config.Environment == config.Test {
		if err := p.probeEdge(&webOptions); err != nil {
			return err
		}
	}
	server := web.New(webOptions, pages)
	defer server.Close()
	purges := purge.NewListener(b.db, server, p.log)
	checks.Booted()

	record, err := b.recordPulse(config.Web, checks, backlog)
	if err != nil {
		return err
	}
	return p.run(ctx, p.serve(server, domains, hub),
		p.ops(checks), checks.Run, b.guards.run, hub.Run, purges.Run, boundGarbage(server.CachedBytes),
		p.handleSignals(checks, nil), b.recordHistory(checks, backlog), record)
}

// Private

// probeEdge puts a scriptable origin behind the edge, beside the pages, or in place of
// them the server at EDGE_TEST_ORIGIN, with the policy of RFC 9111.
func (p *process) probeEdge(options *web.Options) error {
	options.InFront = testorigin.New().Beside
	if p.config.EdgeTestOrigin == "" {
		return nil
	}
	origin, err := url.Parse(p.config.EdgeTestOrigin)
	if err != nil {
		return fmt.Errorf("read EDGE_TEST_ORIGIN: %w", err)
	}
	options.Policy = httpcache.RFC9111
	options.InFront = func(http.Handler) http.Handler { return testorigin.Proxy(origin) }
	return nil
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
