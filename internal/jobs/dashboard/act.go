package dashboard

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

const (
	mostChosen  = inspect.PageSize // jobs and tasks that are named one by one
	shownOfBulk = 10               // of those that an action is for
	mostAsked   = jobs.MostCounted // to which a screen counts what an action is for
)

// Private

// request is an action that an operator asks for.
type request struct {
	action inspect.Action
	ids    []inspect.ID
	filter inspect.Filter // without ids
	back   string         // the filter of the list from which the operator came
}

// confirm says what an action is for, and asks.
func (d *Dashboard) confirm(c echo.Context) error {
	asked, err := readRequest(c)
	if err != nil {
		return err
	}
	view := screens.Confirm{
		Action: asked.action, IDs: asked.ids, Filter: asked.filter.String(), States: asked.states(),
		Items: []inspect.Item{}, Back: asked.back, BackPath: asked.backPath(),
	}
	ctx := c.Request().Context()
	if len(asked.ids) == 0 {
		view.Count, view.More, err = d.inspector.CountBulk(ctx, asked.bulk(), mostAsked)
		if err != nil {
			return err
		}
		first := asked.filter
		first.Limit = shownOfBulk
		if first.State == "" && len(view.States) == 1 {
			first.State = view.States[0]
		}
		page, err := d.inspector.List(ctx, first)
		if err != nil {
			return err
		}
		for _, item := range page.Items {
			if slices.Contains(view.States, item.State) {
				view.Items = append(view.Items, item)
			}
		}
	}
	chosen, err := d.inspector.FindAll(ctx, asked.ids)
	if err != nil {
		return err
	}
	for _, item := range chosen {
		if !slices.Contains(inspect.Actions[asked.action], item.State) {
			continue
		}
		view.Count++
		if len(view.Items) < shownOfBulk {
			view.Items = append(view.Items, item)
		}
	}
	return d.Show(c, view, screens.Asked(d.Frame(c, "Work", "Sure?"), view))
}

// act does a confirmed action: on chosen work at once, on all that matches in the
// background.
func (d *Dashboard) act(c echo.Context) error {
	asked, err := readRequest(c)
	if err != nil {
		return err
	}
	ctx, who := c.Request().Context(), operators.OperatorOf(c).Name
	if len(asked.ids) == 0 {
		id, err := d.inspector.Start(ctx, who, asked.bulk())
		if err != nil {
			return err
		}
		return operators.Back(c, fmt.Sprintf("/jobs/action?id=%d", id), "")
	}
	report, err := d.inspector.ActAs(ctx, who, asked.action, asked.ids...)
	if err != nil {
		return err
	}
	if len(asked.ids) > 1 || report.Done == 0 {
		return operators.Back(c, fmt.Sprintf("/jobs/action?id=%d", report.ID), "")
	}
	if asked.action == inspect.Discard {
		asked.ids = nil // its screen is gone
		return operators.Back(c, asked.backPath(), string(asked.action))
	}
	return operators.Back(c, screens.ItemPath(asked.ids[0]), string(asked.action))
}

// readRequest reads what an operator asks for, of the address or of a form.
func readRequest(c echo.Context) (request, error) {
	asked := request{action: inspect.Action(c.FormValue("action")), back: c.FormValue("back")}
	if _, known := inspect.Actions[asked.action]; !known {
		return asked, wrongInput("there is no action %q: it is retry, run-now, cancel or discard", asked.action)
	}
	form, err := c.FormParams()
	if err != nil {
		return asked, err
	}
	for _, text := range form["id"] {
		id, err := inspect.ParseID(text)
		if err != nil {
			return asked, &inputError{err}
		}
		asked.ids = append(asked.ids, id)
	}
	switch {
	case len(asked.ids) > mostChosen:
		return asked, wrongInput("%d are chosen: choose at most %d, or use a filter", len(asked.ids), mostChosen)
	case len(asked.ids) > 0:
		return asked, nil
	case !form.Has("q"):
		return asked, wrongInput("nothing is chosen: tick rows first, or act on all that match")
	}
	if asked.filter, err = inspect.ParseFilter(form.Get("q")); err != nil {
		return asked, err
	}
	destroys := asked.action == inspect.Discard || asked.action == inspect.Cancel
	if destroys && asked.filter.IsEmpty() {
		return asked, wrongInput("%s of all work needs a filter: write at least a queue, a kind, a backend or a state", asked.action)
	}
	if state := asked.filter.State; state != "" && !slices.Contains(inspect.Actions[asked.action], state) {
		return asked, wrongInput("%s cannot act on work that is %s", asked.action, state)
	}
	return asked, nil
}

func (r request) bulk() inspect.Bulk { return inspect.Bulk{Action: r.action, Filter: r.filter} }

// states are those in which work is acted on.
func (r request) states() []inspect.State {
	if r.filter.State != "" {
		return []inspect.State{r.filter.State}
	}
	return inspect.DefaultStates(r.action)
}

// backPath is the screen from which the operator came.
func (r request) backPath() string {
	switch {
	case r.back != "":
		return "/jobs/work?q=" + url.QueryEscape(r.back)
	case len(r.ids) == 1:
		return screens.ItemPath(r.ids[0])
	case !r.filter.IsEmpty():
		return screens.WorkPath(r.filter)
	}
	return "/jobs/work"
}
