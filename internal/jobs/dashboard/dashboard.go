// Package dashboard is the screens by which operators see and change the jobs and tasks
// of both backends. They work without JavaScript, and each is also JSON.
package dashboard

import (
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/assets"
	"slipway/internal/jobs"
	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/throttle"
	"slipway/internal/web"
)

// Dashboard serves the screens below /jobs.
type Dashboard struct {
	inspector *inspect.Inspector
	history   *history.History
	batches   *batch.Batches
	scheduler *recurring.Scheduler
	jobs      jobs.Handlers
	tasks     jobs.Handlers
	authorize Authorize
	login     Login
	clients   *throttle.Clients
	attempts  *attempts
	assets    *assets.Assets
	host      string
	version   string
	timeout   time.Duration
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

	Login     Login             // of an operator; empty: nobody may enter
	Authorize Authorize         // in place of Login; nil: Login
	Clients   *throttle.Clients // tells the clients apart whose wrong passwords are counted

	BaseURL     string        // names the installation in the foot of each screen
	Version     string        // of this build
	AssetsDir   string        // has the assets of other builds; empty: only its own
	PageTimeout time.Duration // of one screen
	Patience    time.Duration // for one backend, until a screen says that it does not reply; default: 900 ms
	Log         *slog.Logger
}

// New makes a dashboard. The error says that its assets cannot be read.
func New(options Options) (*Dashboard, error) {
	files, err := fs.Sub(assetFiles, "dist")
	if err != nil {
		return nil, fmt.Errorf("open the assets of the jobs dashboard: %w", err)
	}
	loaded, err := assets.Load(files)
	if err != nil {
		return nil, err
	}
	if options.AssetsDir != "" {
		if err := loaded.Bridge(options.AssetsDir); err != nil {
			return nil, err
		}
	}
	if options.Patience == 0 {
		options.Patience = usualPatience
	}
	host := ""
	if base, err := url.Parse(options.BaseURL); err == nil {
		host = base.Host
	}
	return &Dashboard{
		inspector: options.Inspector, history: options.History, batches: options.Batches, scheduler: options.Scheduler,
		jobs: options.Jobs, tasks: options.Tasks,
		authorize: options.Authorize, login: options.Login, clients: options.Clients, attempts: newAttempts(),
		assets: loaded, host: host, version: options.Version,
		timeout: options.PageTimeout, patience: options.Patience, log: options.Log,
	}, nil
}

// Assets are the style sheet, the script and the icon of the screens.
func (d *Dashboard) Assets() *assets.Assets { return d.assets }

// Routes registers all screens and actions.
func (d *Dashboard) Routes(e *echo.Echo) {
	deadline := web.Deadline(d.timeout)
	look := []echo.MiddlewareFunc{deadline, d.answerErrors, d.door(Look)}
	act := []echo.MiddlewareFunc{deadline, d.answerErrors, d.door(Act)}

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

// The build tool makes dist from assets: go run ./internal/assets/build.
//
//go:embed dist
var assetFiles embed.FS
