package dashboard

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
)

// Private

// listFailures lists the causes of what failed.
func (d *Dashboard) listFailures(c echo.Context) error {
	view := screens.Failures{Filter: c.QueryParam("q"), State: inspect.Failed, Causes: []inspect.Cause{}}
	filter, err := inspect.ParseFilter(view.Filter)
	if err != nil {
		view.Problem = err.Error()
		return d.showAs(c, http.StatusUnprocessableEntity, view, screens.Causes(d.frame(c, "Failures", "Failures"), view))
	}
	if filter.State != "" {
		view.State = filter.State
	}
	var down []string
	err = d.within(c.Request().Context(), func(ctx context.Context) error {
		found, err := d.inspector.Causes(ctx, filter)
		view.Causes = append(view.Causes, found...)
		return err
	})
	if err != nil {
		down = []string{downText(err)}
	}
	return d.show(c, view, screens.Causes(d.frame(c, "Failures", "Failures by cause", down...), view))
}
