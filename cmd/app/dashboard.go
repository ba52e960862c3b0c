package main

import (
	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/dashboard"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/throttle"
)

// Private

// dashboard is the screens of jobs and tasks, which web serves at /jobs.
func (b *backends) dashboard(app application, clients *throttle.Clients) (*dashboard.Dashboard, error) {
	entries, err := app.schedules(b.declared)
	if err != nil {
		return nil, err
	}
	inspector, err := inspect.New(inspect.Options{DB: b.db, Jobs: b.jobs, Tasks: b.tasks, Kinds: b.declared.kinds()})
	if err != nil {
		return nil, err
	}
	options := dashboard.Options{
		Inspector: inspector, History: history.New(b.db), Batches: batch.New(b.db, b.jobs),
		Scheduler: recurring.NewScheduler(b.db, b.jobs, b.tasks, entries, b.log), Jobs: b.declared.jobs, Tasks: b.declared.tasks,
		Login: dashboard.Login{User: b.config.JobsUser, Password: b.config.JobsPassword}, Clients: clients,
		BaseURL: b.config.BaseURL, Version: b.build.name(), AssetsDir: b.config.AssetsDir, PageTimeout: b.config.RequestTimeout, Log: b.log,
	}
	if app.operators != nil {
		options.Authorize = app.operators(b)
	}
	return dashboard.New(options)
}
