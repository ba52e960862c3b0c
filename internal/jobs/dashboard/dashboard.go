// Package dashboard is the screens by which operators see and change the jobs and tasks
// of both backends. They work without JavaScript, and each is also JSON.
package dashboard

import (
	"log/slog"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/operators"
)

// Dashboard serves the screens below /jobs.
type Dashboard struct {
	*operators.Pages

	inspector *inspect.Inspector
	history   *history.History
	batches   *batch.Batches
	scheduler *recurring.Scheduler
	jobs      jobs.Handlers
	tasks     jobs.Handlers
	patience  time.Duration
	log       *slog.Logger
}

// Options are the parts and settings of a dashboard.
type Options struct {
	Inspector *inspect.Inspector
	History   *history.History
	Batches   *batch.Batches
	Scheduler *recurring.Scheduler // runs recurring work now
	Jobs      jobs.Handlers        // the kinds of each backend
	Tasks     jobs.Handlers

	Desk     *operators.Desk
	Patience time.Duration // for one backend, until a screen says that it does not reply; default: 900 ms
	Log      *slog.Logger
}

// New opens the area of jobs and tasks at a desk.
func New(options Options) *Dashboard {
	if options.Patience == 0 {
		options.Patience = usualPatience
	}
	return &Dashboard{
		Pages:     options.Desk.Open(area),
		inspector: options.Inspector, history: options.History, batches: options.Batches, scheduler: options.Scheduler,
		jobs: options.Jobs, tasks: options.Tasks, patience: options.Patience, log: options.Log,
	}
}

// Routes registers all screens and actions.
func (d *Dashboard) Routes(e *echo.Echo) {
	look, act := d.For(operators.Look), d.For(operators.Act)

	e.GET("/jobs", d.showOverview, look...)
	e.GET("/jobs/work", d.listWork, look...)
	e.GET("/jobs/failures", d.listFailures, look...)
	e.GET("/jobs/queues", d.listQueues, look...)
	e.GET("/jobs/workers", d.listWorkers, look...)
	e.GET("/jobs/recurring", d.listRecurring, look...)
	e.GET("/jobs/batches", d.listBatches, look...)
	e.GET("/jobs/batch", d.showBatch, look...)
	e.GET("/jobs/actions", d.listActions, look...)
	e.GET("/jobs/action", d.showAction, look...)
	e.GET("/jobs/item", d.showItem, look...)

	e.GET("/jobs/item/stack", d.showStack, act...)
	e.GET("/jobs/item/edit", d.showEdit, act...)
	e.POST("/jobs/item/edit", d.retryEdited, act...)
	e.GET("/jobs/enqueue", d.showEnqueue, act...)
	e.POST("/jobs/enqueue", d.enqueue, act...)
	e.GET("/jobs/confirm", d.confirm, act...)
	e.POST("/jobs/confirm", d.confirm, act...)
	e.POST("/jobs/act", d.act, act...)
	e.POST("/jobs/actions", d.stopAction, act...)
	e.POST("/jobs/queues", d.switchQueue, act...)
	e.POST("/jobs/workers", d.commandWorker, act...)
	e.POST("/jobs/recurring", d.changeRecurring, act...)
	e.POST("/jobs/batch", d.changeBatch, act...)
}

// Private

// usualPatience leaves a screen time to be rendered within a second.
const usualPatience = 900 * time.Millisecond

var area = operators.Area{
	Name: "Jobs", Path: "/jobs",
	Sections: []operators.Section{
		{Name: "Overview", Path: "/jobs", Key: "o"},
		{Name: "Work", Path: "/jobs/work", Key: "w"},
		{Name: "Failures", Path: "/jobs/failures", Key: "f"},
		{Name: "Queues", Path: "/jobs/queues", Key: "q"},
		{Name: "Workers", Path: "/jobs/workers", Key: "p"},
		{Name: "Recurring", Path: "/jobs/recurring", Key: "r"},
		{Name: "Batches", Path: "/jobs/batches", Key: "b"},
		{Name: "Actions", Path: "/jobs/actions", Key: "a"},
	},
	Said: map[string]string{
		"paused": "Paused.", "resumed": "Resumed.", "retried": "It runs again.", "enqueued": "Enqueued.",
		"run": "A run was enqueued.", "cancelled": "Cancelled.", "stopping": "The action stops after its page.",
		"quiet": "The worker was told to take no more work.", "stop": "The worker was told to stop.",
		"retry": "It runs again.", "run-now": "It runs now.", "cancel": "It is cancelled.", "discard": "It is deleted.",
	},
	Refusal: refusalOf,
}
