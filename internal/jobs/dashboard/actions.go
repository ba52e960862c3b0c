package dashboard

import (
	"strconv"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// actionsOfPage is how many actions one screen lists.
const actionsOfPage = 50

// Private

func (d *Dashboard) listActions(c echo.Context) error {
	before, err := number(c.QueryParam("before"), "before")
	if err != nil {
		return err
	}
	found, err := d.inspector.Actions(c.Request().Context(), inspect.ActionID(before), actionsOfPage)
	if err != nil {
		return err
	}
	view := screens.Actions{Actions: append([]inspect.AuditedAction{}, found...)}
	if len(found) == actionsOfPage {
		view.Next = found[len(found)-1].ID
	}
	return d.Show(c, view, screens.AllActions(d.Frame(c, "Actions", "What operators did"), view))
}

func (d *Dashboard) showAction(c echo.Context) error {
	id, err := number(c.QueryParam("id"), "id")
	if err != nil {
		return err
	}
	found, err := d.inspector.Action(c.Request().Context(), inspect.ActionID(id))
	if err != nil {
		return err
	}
	view := screens.Action{AuditedAction: found}
	return d.Show(c, view, screens.OneAction(d.Frame(c, "Actions", "Action "+strconv.FormatInt(id, 10)), view))
}

// stopAction ends an action in the background after its page.
func (d *Dashboard) stopAction(c echo.Context) error {
	id, err := number(c.FormValue("id"), "id")
	if err != nil {
		return err
	}
	if err := d.inspector.StopAction(c.Request().Context(), operators.OperatorOf(c).Name, inspect.ActionID(id)); err != nil {
		return err
	}
	return operators.Back(c, "/jobs/action?id="+strconv.FormatInt(id, 10), "stopping")
}
