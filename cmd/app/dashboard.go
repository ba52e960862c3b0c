package main

import (
	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/dashboard"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/operators"
	"slipway/internal/throttle"
)

// Private

// desk is what all pages of operators share.
func (b *backends) desk(app application, clients *throttle.Clients) (*operators.Desk, error) {
	options := operators.Options{
		Login: operators.Login{User: b.config.JobsUser, Password: b.config.JobsPassword}, Clients: clients,
		BaseURL: b.config.BaseURL, Version: b.build.name(), AssetsDir: b.config.AssetsDir, PageTimeout: b.config.RequestTimeout, Log: b.log,
	}
	if app.operators != nil {
		options.Authorize = app.operators(b)
	}
	return operators.NewDesk(options)
}

// dashboard is the screens of jobs and tasks, which web serves at /jobs.
func (b *backends) dashboard(app application, desk *operators.Desk, inspector *inspect.Inspector) (*dashboard.Dashboard, error) {
	entries, err := app.schedules(b.declared)
	if err != nil {
		return nil, err
	}
	return dashboard.New(dashboard.Options{
		Inspector: inspector, History: history.New(b.db), Batches: batch.New(b.db, b.jobs),
		Scheduler: recurring.NewScheduler(b.db, b.jobs, b.tasks, entries, b.log), Jobs: b.declared.jobs, Tasks: b.declared.tasks,
		Desk: desk, Log: b.log,
	}), nil
}
