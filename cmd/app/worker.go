package main

import (
	"context"
	"fmt"
	"time"

	"slipway/internal/config"
	"slipway/internal/health"
	"slipway/internal/jobs"
	"slipway/internal/jobs/recurring"
)

// worker is a jobs.PGWorker or a jobs.RedisWorker.
type worker interface {
	Run(ctx context.Context) error
	Quiet(ctx context.Context)
}

// traced are handlers whose runs have traces.
func (b *backends) traced(handlers jobs.Handlers) jobs.Handlers {
	if b.pulse.tracer == nil {
		return handlers
	}
	return handlers.Use(jobs.Traced(b.pulse.tracer))
}

// runWorker runs a worker of either backend with its scheduler, its health checks
// and its listener on OPS_PORT.
func (b *backends) runWorker(
	ctx context.Context, role config.Role, app application, work work, worker worker, backlog *jobs.Backlog, checks []health.Check,
	more ...service,
) error {
	database, err := b.databaseCheck(app.migrations)
	if err != nil {
		return err
	}
	entries, err := app.schedules(work)
	if err != nil {
		return err
	}
	scheduler := recurring.NewScheduler(b.db, b.jobs, b.tasks, entries, b.log)

	all := health.New(b.registry, append(checks, database, queuesCheck(backlog), b.poolCheck(), b.writesCheck(), b.rightsCheck())...)
	all.Booted()
	record, err := b.recordPulse(role, all, backlog)
	if err != nil {
		return err
	}
	background := []service{
		b.ops(all), all.Run, b.guards.run, whenSchemaFits(all, scheduler.Run), b.handleSignals(all, worker.Quiet),
		b.recordHistory(all, backlog), record,
	}
	for _, one := range more {
		background = append(background, whenSchemaFits(all, one))
	}
	return b.run(ctx, whenSchemaFits(all, worker.Run), background...)
}

// recordHistory records the runs of this process, the depth of its queues and its
// version.
func (b *backends) recordHistory(checks *health.Health, backlog *jobs.Backlog) service {
	return whenSchemaFits(checks, func(ctx context.Context) error { return b.recorder.Run(ctx, backlog.Depths) })
}

// Private

// retention is how long work stays visible after its end.
func (p *process) retention() jobs.Retention {
	return jobs.Retention{
		Failed: p.config.JobsKeepFailed, MostFailed: p.config.JobsKeepFailedMost,
		Cancelled: p.config.JobsKeepCancelled, Done: p.config.JobsKeepDone,
	}
}

// schedules reads config/recurring.yml as it was when this binary was built.
func (a application) schedules(work work) ([]recurring.Entry, error) {
	entries, err := recurring.Parse(a.recurring, work.jobs, work.tasks)
	if err != nil {
		return nil, fmt.Errorf("config/recurring.yml: %w", err)
	}
	return entries, nil
}

// whenSchemaFits starts a service as soon as a probe has found that the schema of
// the database fits this build: on an older schema, jobs and tasks would use up
// their attempts. A worker that was made quiet before that never starts.
func whenSchemaFits(checks *health.Health, begin service) service {
	return func(ctx context.Context) error {
		poll := time.NewTicker(20 * time.Millisecond)
		defer poll.Stop()
		for {
			if checks.MayWork() {
				return begin(ctx)
			}
			select {
			case <-ctx.Done():
				return nil
			case <-poll.C:
			}
		}
	}
}
