package main

import (
	"context"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"slipway/internal/config"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/ops"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// pulse is what a role records about itself. All parts are nil where it is switched
// off.
type pulse struct {
	recorder *ops.Recorder
	tracer   *telemetry.Tracer
	exporter *telemetry.OTLP
	outgoing *telemetry.Outgoing
}

// openPulse prepares what a role records. It contacts nothing.
func (p *process) openPulse(role config.Role) error {
	p.pulse.outgoing = telemetry.NewOutgoing(p.registry)
	var keep []func(telemetry.Ended)
	if p.config.PulseEnabled {
		p.pulse.recorder = ops.NewRecorder(ops.RecorderOptions{
			Role: string(role), Version: p.build.name(), Secret: p.config.SecretKeyBase, Log: p.log, Registry: p.registry,
		})
		p.reporter.CopyTo(p.pulse.recorder.Alert)
		keep = append(keep, p.pulse.recorder.Keep)
	}
	if p.config.OTLPEndpoint != "" {
		header, err := p.config.OTLPHeader()
		if err != nil {
			return err
		}
		host, _ := os.Hostname() // empty when unknown
		p.pulse.exporter, err = telemetry.NewOTLP(telemetry.OTLPOptions{
			Endpoint: p.config.OTLPEndpoint, Header: header, Service: p.config.Installation, Version: p.build.name(),
			Environment: string(p.config.Environment), Role: string(role), Host: host, Log: p.log, Registry: p.registry,
		})
		if err != nil {
			return err
		}
		keep = append(keep, p.pulse.exporter.Keep)
	}
	p.pulse.tracer = telemetry.NewTracer(telemetry.TracerOptions{
		OneIn: p.config.TraceOneIn, SlowRequest: p.config.SlowRequest, SlowWork: p.config.SlowWork, Keep: keep,
	})
	return nil
}

// recordPulse writes what was recorded, exports traces, and tells the operator by mail.
func (b *backends) recordPulse(role config.Role, checks *health.Health, backlog *jobs.Backlog) (service, error) {
	var parts []service
	if b.pulse.recorder != nil {
		parts = append(parts, whenSchemaFits(checks, func(ctx context.Context) error { return b.pulse.recorder.Run(ctx, b.db) }))
	}
	if b.pulse.exporter != nil {
		parts = append(parts, b.pulse.exporter.Run)
	}
	if b.config.OpsMail != "" && role != config.WorkerRedis {
		sender, err := b.mailSender(b.config.OpsMailFrom)
		if err != nil {
			return nil, err
		}
		notifier := ops.NewNotifier(ops.NotifierOptions{
			DB: b.db, To: b.config.OpsMail, Sender: sender, BaseURL: b.config.BaseURL,
			Troubles: func() []ops.Trouble { return troubles(checks.Report(), backlog.Late()) }, Alone: role == config.Web, Log: b.log,
		})
		parts = append(parts, notifier.Run) // not when the schema fits alone: the database may be away
	}
	return func(ctx context.Context) error {
		group, ctx := errgroup.WithContext(ctx)
		for _, part := range parts {
			group.Go(func() error { return part(ctx) })
		}
		return group.Wait()
	}, nil
}

// Private

// troubleAfter is how long a backend must be away before the operator gets mail: a
// restart is none of their business. Work that is late has waited for
// QUEUE_LATENCY_ALERT already, so that is told at once.
const troubleAfter = 10 * time.Minute

// troubles are the checks that fail for long enough.
func troubles(report health.Report, late bool) (found []ops.Trouble) {
	for name, check := range report.Checks {
		bad := check.Status != health.OK && check.Status != health.Disabled
		if bad && (late && name == queuesCheckName || time.Since(check.Since) >= troubleAfter) {
			found = append(found, ops.Trouble{Name: "Check " + name, Text: check.Reason, Since: check.Since})
		}
	}
	return found
}

// statement observes the statements of the pool.
func (p pulse) statement() postgres.Observe {
	if p.recorder == nil {
		return nil
	}
	return p.recorder.Statement
}

// client observes who sends requests.
func (p pulse) client() func(client string) {
	if p.recorder == nil {
		return nil
	}
	return p.recorder.Client
}
