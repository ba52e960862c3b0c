package dashboard

import (
	"errors"

	"github.com/labstack/echo/v4"

	"slipway/internal/operators"
	"slipway/internal/ops"
)

// Private

// mostGroups bounds the list of errors.
const mostGroups = 200

var errNoSuchChange = errors.New("an error can be resolved and reopened: send do=resolve or do=reopen")

// errorsView are the groups of errors in one state.
type errorsView struct {
	State  ops.ErrorState   `json:"state"`
	Errors []ops.ErrorGroup `json:"errors"`
}

func (d *Dashboard) listErrors(c echo.Context) error {
	ctx, cancel := d.bounded(c)
	defer cancel()
	view := errorsView{State: ops.OpenErrors, Errors: []ops.ErrorGroup{}}
	if ops.ErrorState(c.QueryParam("state")) == ops.ResolvedErrors {
		view.State = ops.ResolvedErrors
	}
	groups, err := d.reader.Errors(ctx, view.State, mostGroups)
	if err != nil {
		return err
	}
	view.Errors = append(view.Errors, groups...)
	return d.Show(c, view, errorsPage(d.Frame(c, "Errors", "Errors"), view))
}

func (d *Dashboard) showError(c echo.Context) error {
	ctx, cancel := d.bounded(c)
	defer cancel()
	group, err := d.reader.Error(ctx, storable(c.Param("id")))
	if err != nil {
		return err
	}
	return d.Show(c, group, errorPage(d.Frame(c, "Errors", group.Title), group))
}

// changeError resolves or reopens a group.
func (d *Dashboard) changeError(c echo.Context) error {
	ctx, cancel := d.bounded(c)
	defer cancel()
	id, done := storable(c.Param("id")), ""
	var err error
	switch c.FormValue("do") {
	case "resolve":
		done, err = "resolved", d.reader.Resolve(ctx, id, operators.OperatorOf(c).Name)
	case "reopen":
		done, err = "reopened", d.reader.Reopen(ctx, id)
	default:
		return errNoSuchChange
	}
	if err != nil {
		return err
	}
	return operators.Back(c, errorPath(id), done)
}
