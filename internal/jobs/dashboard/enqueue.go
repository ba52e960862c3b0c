package dashboard

import (
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// Private

const unprocessable = http.StatusUnprocessableEntity

// showEnqueue shows the form of new work: empty, of a kind, or with the args of other
// work.
func (d *Dashboard) showEnqueue(c echo.Context) error {
	view := screens.Enqueue{Kinds: d.kinds(), Kind: c.QueryParam("kind"), Args: "{}"}
	if from := c.QueryParam("from"); from != "" {
		id, err := inspect.ParseID(from)
		if err != nil {
			return &inputError{err}
		}
		item, err := d.inspector.Show(c.Request().Context(), id)
		if err != nil {
			return err
		}
		view.Kind, view.Args = item.Kind, screens.Indented(item.Args)
	}
	return d.Show(c, view, screens.NewWorkForm(d.Frame(c, "Queues", "Enqueue"), view))
}

// enqueue enqueues one job or task. What is wrong with it comes back in the form.
func (d *Dashboard) enqueue(c echo.Context) error {
	view := screens.Enqueue{Kinds: d.kinds(), Kind: c.FormValue("kind"), Args: c.FormValue("args"), When: c.FormValue("when")}
	id, enqueued, err := d.enqueueAsWritten(c, view)
	problem, is := inputProblem(err)
	if err == nil && !enqueued {
		problem, is = "Equal work is there already, and this kind is unique: nothing was enqueued.", true
	}
	if is {
		view.Problem = problem
		return d.ShowAs(c, unprocessable, view, screens.NewWorkForm(d.Frame(c, "Queues", "Enqueue"), view))
	}
	if err != nil {
		return err
	}
	return operators.Back(c, screens.ItemPath(id), "enqueued")
}

func (d *Dashboard) enqueueAsWritten(c echo.Context, view screens.Enqueue) (id inspect.ID, enqueued bool, err error) {
	at, err := inspect.ParseWhen(view.When, time.Now())
	if err != nil {
		return id, false, wrongInput("when: %w", err)
	}
	return d.inspector.Enqueue(c.Request().Context(), operators.OperatorOf(c).Name, view.Kind, []byte(view.Args), at)
}

// inputProblem returns the text of an error that other input would mend.
func inputProblem(err error) (string, bool) {
	var wrong *inputError
	if errors.As(err, &wrong) || errors.Is(err, inspect.ErrArgs) || errors.Is(err, inspect.ErrEqual) {
		return err.Error(), true
	}
	return "", false
}
