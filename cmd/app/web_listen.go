package main

import (
	"context"
	"fmt"
	"net/http"

	"golang.org/x/sync/errgroup"

	"slipway/internal/config"
	"slipway/internal/edge/certificate"
	"slipway/internal/live"
	"slipway/internal/web"
)

// Private

// serve is the public listener, and with domains a second one, which redirects to it.
// A shutdown ends event streams first: they would hold it up, and browsers reconnect
// by themselves.
func (p *process) serve(handler http.Handler, domains *certificate.Domains, hub *live.Hub) service {
	pages := web.Listener{
		Address: p.address(p.config.Port), Handler: handler, Drain: p.config.ShutdownTimeout, Stopping: hub.Close, Log: p.log,
	}
	if domains == nil {
		return func(ctx context.Context) error { return web.Serve(ctx, pages) }
	}

	redirect := pages
	redirect.Address, redirect.Stopping = p.address(p.config.HTTPPort), nil
	redirect.Handler = domains.Redirect(p.config.PublicHTTPSPort(), handler)
	pages.Address, pages.TLS = p.address(p.config.HTTPSPort), domains.TLSConfig()
	pages.Handler = domains.RefuseOthers(handler)
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		group.Go(func() error { return web.Serve(ctx, pages) })
		group.Go(func() error { return web.Serve(ctx, redirect) })
		return group.Wait()
	}
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
