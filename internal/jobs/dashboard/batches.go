package dashboard

import (
	"strconv"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/operators"
)

// batchesOfPage is how many batches one screen lists.
const batchesOfPage = 25

// Private

func (d *Dashboard) listBatches(c echo.Context) error {
	before, err := number(c.QueryParam("before"), "before")
	if err != nil {
		return err
	}
	found, err := d.batches.List(c.Request().Context(), batch.Filter{Before: batch.ID(before), Limit: batchesOfPage})
	if err != nil {
		return err
	}
	view := screens.Batches{Batches: append([]batch.Summary{}, found...)}
	if len(found) == batchesOfPage {
		view.Next = found[len(found)-1].ID
	}
	return d.Show(c, view, screens.AllBatches(d.Frame(c, "Batches", "Batches"), view))
}

func (d *Dashboard) showBatch(c echo.Context) error {
	id, err := number(c.QueryParam("id"), "id")
	if err != nil {
		return err
	}
	found, err := d.batches.Show(c.Request().Context(), batch.ID(id))
	if err != nil {
		return err
	}
	view := screens.Batch{Summary: found}
	return d.Show(c, view, screens.OneBatch(d.Frame(c, "Batches", found.Name), view))
}

// changeBatch pauses, resumes or cancels a batch.
func (d *Dashboard) changeBatch(c echo.Context) error {
	text, do := c.FormValue("id"), c.FormValue("do")
	id, err := number(text, "id")
	if err != nil {
		return err
	}
	ctx, done := c.Request().Context(), ""
	switch do {
	case "pause":
		err, done = d.batches.Pause(ctx, batch.ID(id)), "paused"
	case "resume":
		err, done = d.batches.Resume(ctx, batch.ID(id)), "resumed"
	case "cancel":
		err, done = d.batches.Cancel(ctx, batch.ID(id)), "cancelled"
	default:
		return wrongInput("there is no command %q: it is pause, resume or cancel", do)
	}
	d.note(c, do, "batch "+text, err)
	if err != nil {
		return err
	}
	return operators.Back(c, "/jobs/batch?id="+strconv.FormatInt(id, 10), done)
}

// number reads an id of the address, 0 when it is missing.
func number(text, name string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil || value < 0 {
		return 0, wrongInput("%s=%q is no number from 1 on", name, text)
	}
	return value, nil
}
