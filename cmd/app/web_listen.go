package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"slipway/internal/config"
	"slipway/internal/edge/certificate"
	"slipway/internal/edge/connection"
	"slipway/internal/edge/hosts"
	"slipway/internal/live"
	"slipway/internal/web"
)

// Private

// serve is the public listener, and with domains a second one, which redirects to it.
// A shutdown ends event streams first: they would hold it up, and browsers reconnect
// by themselves.
func (p *process) serve(handler http.Handler, domains *certificate.Domains, hub *live.Hub) service {
	if allowed := p.config.Hosts(); allowed != nil {
		handler = hosts.New(allowed...).RefuseOthers(handler)
	}
	pages := web.Listener{
		Address: p.address(p.config.Port), Handler: handler, H2C: p.config.H2CEnabled, Guard: p.guard(),
		Drain: p.config.ShutdownTimeout, Stopping: hub.Close, Outliving: hub.Wait, Log: p.log,
	}
	if domains == nil {
		return func(ctx context.Context) error { return web.Serve(ctx, pages) }
	}

	redirect := pages
	redirect.Address, redirect.Stopping, redirect.Outliving = p.address(p.config.HTTPPort), nil, nil
	redirect.Handler = domains.Redirect(p.config.PublicHTTPSPort(), handler)
	pages.Address, pages.TLS = p.address(p.config.HTTPSPort), domains.TLSConfig()
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return web.Serve(ctx, pages) })
		group.Go(func() error { return web.Serve(ctx, redirect) })
		return group.Wait()
	}
}

// guard limits the connections of all public listeners together.
func (p *process) guard() *connection.Guard {
	p.warnOfFewFiles()
	return connection.New(connection.Options{
		Most: p.config.MaxConnections, MostPerClient: p.config.MaxConnectionsPerClient,
		Proxies: p.config.Proxies(), IPv6Prefix: p.config.ThrottleIPv6Prefix,
		ReadTimeout: time.Duration(p.config.HTTPReadTimeout), WriteTimeout: time.Duration(p.config.HTTPWriteTimeout),
		IdleTimeout: time.Duration(p.config.HTTPIdleTimeout),
		Log:         p.log, Registry: p.registry,
	})
}

// warnOfFewFiles says that the system allows fewer connections than MAX_CONNECTIONS.
func (p *process) warnOfFewFiles() {
	const others = 200 // backends, listeners, files
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= uint64(p.config.MaxConnections+others) {
		return
	}
	p.log.Warn("The system allows fewer open files than MAX_CONNECTIONS needs, so new connections may have to wait",
		"allowed", limit.Cur, "max_connections", p.config.MaxConnections,
		"advice", "raise the limit on open files (ulimit -n), or set MAX_CONNECTIONS")
}

// domains are the hosts for which web gets certificates. It is nil without TLS_DOMAIN.
func (p *process) domains() (*certificate.Domains, error) {
	if len(p.config.TLSDomains) == 0 {
		return nil, nil
	}
	domains, err := certificate.New(certificate.Options{
		Domains: p.config.TLSDomains, Storage: p.config.StoragePath, Directory: p.config.ACMEDirectory,
		KeyID: p.config.EABKeyID, Key: p.config.EABKey, Log: p.log,
	})
	if err != nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s cannot start: STORAGE_PATH: %w", config.Web, err)}
	}
	return domains, nil
}
