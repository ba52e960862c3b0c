package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
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
	"slipway/internal/jobs"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
	"slipway/internal/web"
)

// process is what every role has, and every command that reads settings.
type process struct {
	config   config.Config
	settings []config.Setting // config as operators see it
	build    build
	declared work        // of the application, to read only: its handlers cannot run
	queues   jobs.Queues // all queues of the installation
	log      *slog.Logger
	registry *prometheus.Registry
	reporter *telemetry.Reporter
	pulse    pulse // empty in commands
}

const (
	// opsDrain is how long the listener on OPS_PORT finishes its requests.
	opsDrain = time.Second
	// webStopMargin is the longest time that web takes after SIGTERM and
	// SHUTDOWN_TIMEOUT: for its listeners, its error reports and its connections.
	webStopMargin = opsDrain + telemetry.CloseTimeout + postgres.CloseTimeout
	// workerStopMargin is the longest time that a worker takes after SIGTERM and
	// JOBS_SHUTDOWN_TIMEOUT.
	workerStopMargin = jobs.StopMargin + webStopMargin
)

// outsidePool are the connections to PostgreSQL of a role beside DATABASE_POOL_SIZE,
// for work that must go on while the pool is busy: two probes; in web the listener of
// the HTTP cache; in a worker the heartbeat, the listener for commands and the locks of
// keys; in worker-pg the listener and the pool of River.
var outsidePool = map[config.Role]int{config.Web: 3, config.WorkerRedis: 5, config.WorkerPG: 6 + jobs.RiverPoolSize}

// service is a part of a role that works until its context ends.
type service func(ctx context.Context) error

// newProcess reads the settings of a role or command, and makes its log, metrics
// and error reporter. It also sends what go-redis logs to that reporter. Settings
// that cannot be used end the program with exit code 2.
func newProcess(c *cobra.Command, app application, role config.Role) (*process, error) {
	variables, err := config.Environ(".")
	if err != nil {
		return nil, &exitError{code: exitUsage, err: err}
	}
	schema := app.schema()
	settings, warnings, err := schema.Load(role, variables)
	if err != nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s cannot start: %w", role, err)}
	}
	declared, err := app.declared()
	if err != nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s cannot start: %w", role, err)}
	}
	build := currentBuild(settings.KamalVersion)
	p := &process{
		declared: declared,
		queues:   app.allQueues(),
		config:   settings,
		build:    build,
		log: telemetry.NewLogger(c.ErrOrStderr(), telemetry.LogOptions{
			Level: settings.LogLevel, JSON: settings.LogFormat == config.LogJSON, Role: string(role), Version: build.name(),
			TraceIDs: settings.OTLPEndpoint != "",
		}),
		settings: schema.Settings(role, settings, variables),
		registry: telemetry.NewRegistry(),
	}
	for _, warning := range warnings {
		p.log.Warn("Setting needs attention", "name", warning.Name, "problem", warning.Text)
	}
	p.reporter = telemetry.NewReporter(p.log, p.registry)
	failopen.LogThrough(func(source string, err error) { p.reporter.Report(telemetry.Redis, source, err) })
	return p, nil
}

// startRole is newProcess for a long-running role. It logs that the role starts
// before any backend is contacted.
func startRole(c *cobra.Command, app application, role config.Role) (*process, error) {
	p, err := newProcess(c, app, role)
	if err != nil {
		return nil, err
	}
	p.log.Info("Role starts", "version", p.build.name(), "commit", p.build.Commit,
		"environment", string(p.config.Environment), "ops_port", p.config.OpsPort,
		"database_connections", p.config.DatabasePoolSize+outsidePool[role])
	p.registry.MustRegister(p.build.metric())
	if p.config.SentryDSN != "" && p.config.Environment == config.Production {
		sentry, err := telemetry.OpenSentry(telemetry.SentryOptions{
			DSN: p.config.SentryDSN, Environment: string(p.config.Environment), Release: p.build.name(), Role: string(role),
		}, p.registry)
		if err != nil {
			return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s cannot start: %w", role, err)}
		}
		p.reporter.SendTo(sentry)
	}
	if err := p.openPulse(role); err != nil {
		return nil, &exitError{code: exitUsage, err: fmt.Errorf("%s cannot start: %w", role, err)}
	}
	return p, nil
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

	// A part that fails still takes the role down in order.
	mainCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	context.AfterFunc(backgroundCtx, cancel)

	err := main(mainCtx)
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	p.log.Info("Role stopped")
	return nil
}

// ops serves /up, /ready, /health, /metrics and the profiles of /debug/pprof/ on
// OPS_PORT.
func (p *process) ops(checks *health.Health) service {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /up", checks.ServeUp)
	mux.HandleFunc("GET /ready", checks.ServeReady)
	mux.HandleFunc("GET /health", checks.ServeHealth)
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return func(ctx context.Context) error {
		return web.Serve(ctx, web.Listener{Address: p.address(p.config.OpsPort), Handler: mux, Drain: opsDrain, Log: p.log})
	}
}

func (p *process) address(port int) string {
	return net.JoinHostPort(p.config.BindAddress, strconv.Itoa(port))
}
