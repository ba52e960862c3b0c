package dashboard

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/operators"
)

// Private

func (d *Dashboard) listWorkers(c echo.Context) error {
	var view screens.Workers
	var down []string
	err := d.within(c.Request().Context(), func(ctx context.Context) (err error) {
		view, err = d.readWorkers(ctx)
		return err
	})
	if err != nil {
		down = []string{operators.DownText(err)}
	}
	return d.Show(c, view, screens.AllWorkers(d.Frame(c, "Workers", "Workers", down...), view))
}

func (d *Dashboard) readWorkers(ctx context.Context) (screens.Workers, error) {
	processes, err := d.inspector.Workers(ctx)
	return screens.NewWorkers(processes, time.Now()), err
}

// commandWorker tells a worker to take no more work, or to stop.
func (d *Dashboard) commandWorker(c echo.Context) error {
	ctx, worker, do := c.Request().Context(), c.FormValue("worker"), c.FormValue("do")
	var err error
	switch do {
	case "quiet":
		err = d.inspector.QuietWorker(ctx, worker)
	case "stop":
		err = d.inspector.StopWorker(ctx, worker)
	default:
		return wrongInput("there is no command %q: it is quiet or stop", do)
	}
	d.note(c, do, worker, err)
	if err != nil {
		return err
	}
	return operators.Back(c, "/jobs/workers", do)
}
