package dashboard

import (
	"context"
	"fmt"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// Private

// showItem shows one job or task. What it and its request enqueued is left out when
// that cannot be read.
func (d *Dashboard) showItem(c echo.Context) error {
	ctx := c.Request().Context()
	item, err := d.find(c)
	if err != nil {
		return err
	}
	view := screens.Item{Item: item, CanEdit: d.knows(item.Kind), Enqueued: []inspect.Item{}, Request: []inspect.Item{}}
	if view.Args == nil {
		view.Args = []byte("null")
	}
	err = d.within(ctx, func(ctx context.Context) error {
		caused, err := d.inspector.CausedBy(ctx, item.ID)
		view.Enqueued = append(view.Enqueued, caused...)
		if err != nil || item.RequestID == "" {
			return err
		}
		caused, err = d.inspector.CausedByRequest(ctx, item.RequestID)
		for _, other := range caused {
			if other.ID != item.ID && other.Parent != item.ID.String() {
				view.Request = append(view.Request, other)
			}
		}
		return err
	})
	var down []string
	if err != nil {
		down = []string{"What it enqueued could not be read: " + operators.DownText(err)}
	}
	title := "Job " + item.Kind
	if item.ID.Backend == jobs.Redis {
		title = "Task " + item.Kind
	}
	return d.Show(c, view, screens.Job(d.Frame(c, "Work", title, down...), view))
}

// showStack shows the stack of a running job or task.
func (d *Dashboard) showStack(c echo.Context) error {
	item, err := d.find(c)
	if err != nil {
		return err
	}
	if item.State != inspect.Running {
		return fmt.Errorf("the live stack of %s: %w: it is %s", item.ID, inspect.ErrState, item.State)
	}
	view := screens.Stack{ID: item.ID, Kind: item.Kind}
	if view.Stack, err = d.inspector.Stack(c.Request().Context(), item.ID); err != nil {
		return err
	}
	return d.Show(c, view, screens.LiveStack(d.Frame(c, "Work", "Live stack of "+item.Kind), view))
}

// showEdit shows the form of a retry with other args.
func (d *Dashboard) showEdit(c echo.Context) error {
	item, err := d.find(c)
	if err != nil {
		return err
	}
	view := screens.Edit{Item: item, Args: screens.Indented(item.Args)}
	return d.Show(c, view, screens.EditForm(d.Frame(c, "Work", "Edit and retry"), view))
}

// retryEdited retries a job or task with other args. Args that its kind refuses come
// back in the form, with the reason.
func (d *Dashboard) retryEdited(c echo.Context) error {
	item, err := d.find(c)
	if err != nil {
		return err
	}
	view := screens.Edit{Item: item, Args: c.FormValue("args")}
	err = d.inspector.RetryWith(c.Request().Context(), operators.OperatorOf(c).Name, item.ID, []byte(view.Args))
	if problem, is := inputProblem(err); is {
		view.Problem = problem
		return d.ShowAs(c, unprocessable, view, screens.EditForm(d.Frame(c, "Work", "Edit and retry"), view))
	}
	if err != nil {
		return err
	}
	return operators.Back(c, screens.ItemPath(item.ID), "retried")
}

// find returns the job or task that a request names.
func (d *Dashboard) find(c echo.Context) (inspect.Item, error) {
	id, err := inspect.ParseID(c.FormValue("id"))
	if err != nil {
		return inspect.Item{}, &inputError{err}
	}
	return d.inspector.Show(c.Request().Context(), id)
}

// knows reports whether this build has a kind.
func (d *Dashboard) knows(kind string) bool {
	_, isJob := d.jobs.Find(kind)
	_, isTask := d.tasks.Find(kind)
	return isJob || isTask
}
