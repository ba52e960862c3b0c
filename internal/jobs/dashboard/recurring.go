package dashboard

import (
	"context"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// Private

func (d *Dashboard) listRecurring(c echo.Context) error {
	view := screens.Recurring{Entries: []inspect.Recurring{}, History: []inspect.RunsOf{}}
	var down []string
	err := d.within(c.Request().Context(), func(ctx context.Context) error {
		entries, err := d.inspector.Recurring(ctx)
		if err != nil {
			return err
		}
		view.Entries = append(view.Entries, entries...)
		runs, err := d.inspector.RecurringRuns(ctx)
		view.History = append(view.History, runs...)
		return err
	})
	if err != nil {
		down = []string{operators.DownText(err)}
	}
	return d.Show(c, view, screens.AllRecurring(d.Frame(c, "Recurring", "Recurring", down...), view))
}

// changeRecurring runs an entry now, or pauses or resumes one or all.
func (d *Dashboard) changeRecurring(c echo.Context) error {
	ctx, key, do := c.Request().Context(), c.FormValue("key"), c.FormValue("do")
	if key == "" && c.FormValue("all") == "" {
		return wrongInput("no entry is named: send its key, or all")
	}
	var err error
	done := ""
	switch do {
	case "run":
		err, done = d.scheduler.RunNow(ctx, key), "run"
	case "pause":
		err, done = d.inspector.PauseRecurring(ctx, key), "paused"
	case "resume":
		err, done = d.inspector.ResumeRecurring(ctx, key), "resumed"
	default:
		return wrongInput("there is no command %q: it is run, pause or resume", do)
	}
	subject := key
	if key == "" {
		subject = "all recurring work"
	}
	d.note(c, do, subject, err)
	if err != nil {
		return err
	}
	return operators.Back(c, "/jobs/recurring", done)
}
