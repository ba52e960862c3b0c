package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/health"
	"slipway/internal/telemetry"
	"slipway/internal/web"
)

// process is what every long-running role has.
type process struct {
	config   config.Config
	log      *slog.Logger
	registry *prometheus.Registry
	reporter *telemetry.Reporter
}

// service is a part of a role that works until its context ends.
type service func(ctx context.Context) error

// startRole reads the settings of a role and says so before anything is
// contacted, so that there is a line in the log whatever happens next.
func startRole(c *cobra.Command, role config.Role) (*process, error) {
	settings, err := loadConfig(role)
	if err != nil {
		return nil, err
	}
	log := telemetry.NewLogger(c.ErrOrStderr(), settings.LogLevel, settings.LogFormat == config.LogJSON, string(role))
	build := currentBuild()
	log.Info("Starting", "version", build.name(), "commit", build.Commit, "environment", string(settings.Environment), "ops_port", settings.OpsPort)

	for _, warning := range warnings(role) {
		log.Warn("Setting cannot be used: "+warning.Name+" "+warning.Text, "example", warning.Example)
	}

	registry := telemetry.NewRegistry()
	registry.MustRegister(build.metric())
	reporter := telemetry.NewReporter(log, registry)
	if settings.SentryDSN != "" && settings.Environment == config.Production {
		sentry, err := telemetry.OpenSentry(telemetry.SentryOptions{
			DSN: settings.SentryDSN, Environment: string(settings.Environment), Release: build.name(), Role: string(role),
		}, registry)
		if err != nil {
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s cannot start: %w", role, err)}
		}
		reporter.SendTo(sentry)
	}
	failopen.LogThrough(func(source string, err error) { reporter.Report("Redis", source, err) })
	return &process{config: settings, log: log, registry: registry, reporter: reporter}, nil
}

// run runs a role: main until SIGTERM or SIGINT, and background beside it for
// as long as main needs to finish. A second signal ends the process at once.
func (p *process) run(ctx context.Context, main service, background ...service) error {
	defer p.reporter.Close()
	ctx, release := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer release()
	context.AfterFunc(ctx, release)

	backgroundCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	group, backgroundCtx := errgroup.WithContext(backgroundCtx)
	for _, one := range background {
		group.Go(func() error { return one(backgroundCtx) })
	}

	// A part that fails takes the role down in order, not by surprise.
	mainCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(backgroundCtx, cancel)

	err := main(mainCtx)
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	p.log.Info("Stopped")
	return nil
}

// whenItMayWork begins a service as soon as the database has said that its schema
// fits: what a worker does on one that is too old for it would fail, and in the
// end fail for good. A worker that was made quiet before that never begins.
func whenItMayWork(checks *health.Health, begin service) service {
	return func(ctx context.Context) error {
		look := time.NewTicker(20 * time.Millisecond)
		defer look.Stop()
		for {
			if checks.MayWork() {
				return begin(ctx)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-look.C:
			}
		}
	}
}

// ops serves /up, /health and /metrics on OPS_PORT.
func (p *process) ops(checks *health.Health) service {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /up", checks.ServeUp)
	mux.HandleFunc("GET /ready", checks.ServeReady)
	mux.HandleFunc("GET /health", checks.ServeHealth)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	return func(ctx context.Context) error {
		return web.Serve(ctx, p.address(p.config.OpsPort), mux, time.Second, nil, p.log)
	}
}

func (p *process) address(port int) string {
	return net.JoinHostPort(p.config.BindAddress, strconv.Itoa(port))
}

// loadConfig reads the settings of a role; what is wrong with them ends the
// program with exit code 2.
func loadConfig(role config.Role) (config.Config, error) {
	variables, err := config.Environ(".")
	if err != nil {
		return config.Config{}, &exitError{code: exitUsage, err: err}
	}
	settings, err := config.Load(role, variables)
	if err != nil {
		return config.Config{}, &exitError{code: exitUsage, err: fmt.Errorf("%s cannot start: %w", role, err)}
	}
	return settings, nil
}

// warnings are the settings that loadConfig has replaced by their defaults.
func warnings(role config.Role) config.Problems {
	variables, err := config.Environ(".")
	if err != nil {
		return nil // loadConfig has said so
	}
	return config.Warnings(role, variables)
}
