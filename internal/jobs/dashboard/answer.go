package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/a-h/templ"
	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/postgres"
	"slipway/internal/web"
)

// refusal is a response without a screen.
type refusal struct {
	Status int    `json:"status"`
	Title  string `json:"error"`
	Text   string `json:"detail"`
}

// Private

// show sends a screen, as JSON when the client asks for that.
func (d *Dashboard) show(c echo.Context, view any, screen templ.Component) error {
	return d.showAs(c, http.StatusOK, view, screen)
}

func (d *Dashboard) showAs(c echo.Context, status int, view any, screen templ.Component) error {
	web.ForbidCaching(c)
	if web.WantsJSON(c.Request()) {
		return c.JSON(status, view)
	}
	return web.Render(c, status, screen)
}

// frame is what all screens share. Down are the failures of backends that the screen
// could not ask.
func (d *Dashboard) frame(c echo.Context, section, title string, down ...string) screens.Frame {
	operator := operatorOf(c)
	return screens.Frame{
		Title: title, Section: section, Operator: operator.Name, MayAct: operator.Level == Act,
		Host: d.host, Version: d.version, Now: time.Now().UTC(), Said: said[c.QueryParam("said")], Down: down,
		Stylesheet: d.resource("jobs.css"), Script: d.resource("jobs.js"), Icon: d.assets.Path("jobs.svg"),
	}
}

func (d *Dashboard) resource(name string) screens.Resource {
	return screens.Resource{Path: d.assets.Path(name), Integrity: d.assets.Integrity(name)}
}

// refuse sends why a request gets no screen.
func (d *Dashboard) refuse(c echo.Context, r refusal) error {
	frame := d.frame(c, "", r.Title)
	return d.showAs(c, r.Status, r, screens.Refused(frame, r.Text))
}

// answerErrors answers what operators can mend with a screen that says so. It returns
// other errors.
func (d *Dashboard) answerErrors(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if err == nil || c.Response().Committed {
			return err
		}
		r, known := refusalOf(err)
		if !known {
			return err
		}
		// The error may be that the time of the request is over.
		c.SetRequest(c.Request().WithContext(context.WithoutCancel(c.Request().Context())))
		return d.showAs(c, r.Status, r, screens.Problem(d.frame(c, "", r.Title), r.Text))
	}
}

// refusalOf is the response to an error.
func refusalOf(err error) (refusal, bool) {
	var wrong *inputError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &wrong):
		return refusal{http.StatusUnprocessableEntity, "This cannot be done", wrong.Error()}, true
	case errors.Is(err, inspect.ErrFilter), errors.Is(err, inspect.ErrCursor):
		return refusal{http.StatusUnprocessableEntity, "The filter cannot be read", err.Error()}, true
	case errors.Is(err, inspect.ErrNotFound), errors.Is(err, batch.ErrNotFound), errors.Is(err, recurring.ErrNoSuchEntry):
		return refusal{http.StatusNotFound, "It is not there", "It was deleted, or it has ended and was not kept: " + err.Error()}, true
	case errors.Is(err, inspect.ErrState), errors.Is(err, inspect.ErrEqual), errors.Is(err, batch.ErrFinished):
		return refusal{http.StatusConflict, "Not any more", err.Error()}, true
	case errors.Is(err, inspect.ErrNoRedis):
		return refusal{http.StatusConflict, "There is no Redis", err.Error()}, true
	case errors.As(err, &tooLarge):
		return refusal{http.StatusRequestEntityTooLarge, "Too large", fmt.Sprintf("A form may have %d bytes.", tooLarge.Limit)}, true
	case errors.Is(err, inspect.ErrGone), errors.Is(err, inspect.ErrNoAnswer):
		return refusal{http.StatusConflict, "The worker did not obey", err.Error()}, true
	case errors.Is(err, inspect.ErrRedis), postgres.Unusable(err), errors.Is(err, context.DeadlineExceeded):
		return refusal{http.StatusServiceUnavailable, "A backend does not reply", downText(err)}, true
	}
	return refusal{}, false
}

// inputError is wrong input of an operator. Its text says what to write instead.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

func wrongInput(format string, values ...any) error {
	return &inputError{fmt.Errorf(format, values...)}
}

// said are the sentences after an action, by their name in the address. An address can
// say nothing else.
var said = map[string]string{
	"paused": "Paused.", "resumed": "Resumed.", "retried": "It runs again.", "enqueued": "Enqueued.",
	"run": "A run was enqueued.", "cancelled": "Cancelled.", "stopping": "The action stops after its page.",
	"quiet": "The worker was told to take no more work.", "stop": "The worker was told to stop.",
	"retry": "It runs again.", "run-now": "It runs now.", "cancel": "It is cancelled.", "discard": "It is deleted.",
}

// back redirects to a screen after an action.
func back(c echo.Context, path, done string) error {
	web.ForbidCaching(c)
	if done != "" {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + "said=" + done
	}
	if web.WantsJSON(c.Request()) {
		return c.JSON(http.StatusOK, map[string]string{"done": done, "see": path})
	}
	return c.Redirect(http.StatusSeeOther, path)
}

// within calls do with the time that a screen has for one backend.
func (d *Dashboard) within(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	return do(ctx)
}

// downText says that a backend does not reply. The text of the error may hold an
// address.
func downText(err error) string {
	name := "PostgreSQL"
	if errors.Is(err, inspect.ErrRedis) {
		name = "Redis"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return name + " does not reply in time. What it holds is not shown."
	}
	return name + " does not reply. What it holds is not shown. /health says more."
}
