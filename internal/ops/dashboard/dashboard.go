// Package dashboard is the pages by which operators see what the application does: its
// pulse, its errors, its traces, the database and the settings. They work without
// JavaScript, and each is also JSON.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/config"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
	"slipway/internal/ops"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Dashboard serves the pages below /ops.
type Dashboard struct {
	*operators.Pages

	reader   *ops.Reader
	jobs     *inspect.Inspector
	settings []config.Setting
	kept     Kept
	patience time.Duration
}

// Kept says which traces are kept, for those who look for one in vain.
type Kept struct {
	Off         bool // nothing is recorded
	OneIn       int  // of how many traces one is kept
	SlowRequest time.Duration
}

// Options are the parts and settings of a dashboard.
type Options struct {
	Desk     *operators.Desk
	Reader   *ops.Reader
	Jobs     *inspect.Inspector // finds the jobs of a trace, and what waits
	Settings []config.Setting   // of this process, with secrets masked
	Kept     Kept
	Patience time.Duration // for the database and for Redis, until the page says that they do not reply; default: 3 s
}

// New opens the area of the pulse at a desk.
func New(options Options) *Dashboard {
	if options.Patience == 0 {
		options.Patience = usualPatience
	}
	return &Dashboard{
		Pages: options.Desk.Open(area), reader: options.Reader, jobs: options.Jobs,
		settings: options.Settings, kept: options.Kept, patience: options.Patience,
	}
}

// Routes registers all pages and actions.
func (d *Dashboard) Routes(e *echo.Echo) {
	look, act := d.For(operators.Look), d.For(operators.Act)

	e.GET("/ops", d.showPulse, look...)
	e.GET("/ops/errors", d.listErrors, look...)
	e.GET("/ops/errors/:id", d.showError, look...)
	e.GET("/ops/traces", d.listTraces, look...)
	e.GET("/ops/trace/:id", d.showTrace, look...)
	e.GET("/ops/database", d.showDatabase, look...)
	e.GET("/ops/settings", d.showSettings, look...)

	e.POST("/ops/errors/:id", d.changeError, act...)
}

// Private

const (
	// usualPatience leaves a page time to be rendered within the time of a request. The
	// pulse of a week adds up some thousand rows.
	usualPatience = 3 * time.Second
	// refreshEvery is the interval of the live refresh. The pulse is written as often.
	refreshEvery = 10 * time.Second
)

var area = operators.Area{
	Name: "Ops", Path: "/ops", RefreshEvery: refreshEvery,
	Sections: []operators.Section{
		{Name: "Pulse", Path: "/ops", Key: "p"},
		{Name: "Errors", Path: "/ops/errors", Key: "e"},
		{Name: "Traces", Path: "/ops/traces", Key: "t"},
		{Name: "Database", Path: "/ops/database", Key: "d"},
		{Name: "Settings", Path: "/ops/settings", Key: "s"},
	},
	Said: map[string]string{
		"resolved": "Resolved. It opens again by itself when it happens again.",
		"reopened": "Open again.",
	},
	Refusal: refusalOf,
}

// refusalOf is the response to an error.
func refusalOf(err error) (operators.Refusal, bool) {
	switch {
	case errors.Is(err, errNoSuchChange):
		return operators.Refusal{Status: http.StatusUnprocessableEntity, Title: "This cannot be done", Text: err.Error()}, true
	case errors.Is(err, ops.ErrNotFound):
		text := fmt.Sprintf("A resolved error goes %d days after it happened last. Beyond %s errors, those seen least recently go.",
			ops.Kept/(24*time.Hour), operators.Number(ops.MostErrors))
		return operators.Refusal{Status: http.StatusNotFound, Title: "It is not there", Text: text}, true
	case isDown(err):
		return operators.Refusal{Status: http.StatusServiceUnavailable, Title: "A backend does not reply", Text: downText(err)}, true
	}
	return operators.Refusal{}, false
}

// bounded is the context of a page for its backends.
func (d *Dashboard) bounded(c echo.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Request().Context(), d.patience)
}

// storable is text of a request without what PostgreSQL cannot compare.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
}

// isDown reports whether a backend does not reply, or PostgreSQL refuses to read, such as
// when a table was dropped.
func isDown(err error) bool {
	return postgres.Unusable(err) || errors.Is(err, inspect.ErrRedis) || errors.Is(err, context.DeadlineExceeded) || isSQLState(err)
}

func isSQLState(err error) bool { return strings.HasPrefix(telemetry.Class(err), "sqlstate_") }

// downText says that a backend does not reply, or that PostgreSQL refuses to read. The
// text of the error may hold an address.
func downText(err error) string {
	if !errors.Is(err, context.DeadlineExceeded) && !postgres.Unusable(err) && isSQLState(err) {
		return fmt.Sprintf("PostgreSQL cannot read this (%s). What it holds is not shown.", telemetry.Class(err))
	}
	return operators.DownText(err)
}
