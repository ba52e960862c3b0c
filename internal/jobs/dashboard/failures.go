package dashboard

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// Private

// listFailures lists the causes of what failed.
func (d *Dashboard) listFailures(c echo.Context) error {
	text := c.QueryParam("q")
	filter, err := inspect.ParseFilter(text)
	view := screens.NewFailures(text, filter)
	if err != nil {
		view.Problem = err.Error()
		return d.ShowAs(c, http.StatusUnprocessableEntity, view, screens.Causes(d.Frame(c, "Failures", "Failures"), view))
	}
	var down []string
	err = d.within(c.Request().Context(), func(ctx context.Context) error {
		found, err := d.inspector.Causes(ctx, filter)
		view.Causes = append(view.Causes, found...)
		return err
	})
	if err != nil {
		down = []string{operators.DownText(err)}
	}
	return d.Show(c, view, screens.Causes(d.Frame(c, "Failures", "Failures by cause", down...), view))
}
