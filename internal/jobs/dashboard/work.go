package dashboard

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
)

// rowsOfPage is how many jobs and tasks one screen lists.
const rowsOfPage = 50

// Private

// listWork lists what a filter selects. A wrong filter is shown beside its problem.
func (d *Dashboard) listWork(c echo.Context) error {
	text := c.QueryParam("q")
	filter, err := inspect.ParseFilter(text)
	view := screens.NewWork(text, filter)
	if err != nil {
		view.Problem = err.Error()
		return d.showAs(c, http.StatusUnprocessableEntity, view, screens.List(d.frame(c, "Work", "Work"), view))
	}
	filter.Limit, filter.After = rowsOfPage, inspect.Cursor(c.QueryParam("after"))
	view.Later = filter.After != ""

	down, err := d.readWork(c.Request().Context(), filter, &view)
	if err != nil {
		return err
	}
	return d.show(c, view, screens.List(d.frame(c, "Work", "Work", down...), view))
}

// readWork fills a list. When one backend does not reply, it lists the other.
func (d *Dashboard) readWork(ctx context.Context, filter inspect.Filter, view *screens.Work) (down []string, err error) {
	var page inspect.Page
	counts := make(chan []screens.StateCount, 1)
	go func() { counts <- d.countStates(ctx, filter) }()
	err = d.within(ctx, func(ctx context.Context) (err error) {
		page, err = d.inspector.List(ctx, filter)
		return err
	})
	view.Counts = <-counts
	view.Items, view.Next, view.Read = page.Items, page.Next, page.Read
	if view.Items == nil {
		view.Items = []inspect.Item{}
	}
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, inspect.ErrCursor), errors.Is(err, inspect.ErrFilter):
		return nil, err
	case errors.Is(err, inspect.ErrNoRedis):
		return []string{"There is no Redis: REDIS_URL is not set."}, nil
	case filter.Backend == jobs.Redis || errors.Is(err, inspect.ErrRedis):
		return []string{downText(err)}, nil
	}
	down = []string{downText(err)}
	if filter.Backend == jobs.PG {
		return down, nil
	}
	filter.Backend = jobs.Redis // its half may be there
	err = d.within(ctx, func(ctx context.Context) (err error) {
		page, err = d.inspector.List(ctx, filter)
		return err
	})
	view.Items = append(view.Items, page.Items...)
	if err != nil && errors.Is(err, inspect.ErrRedis) {
		down = append(down, downText(err))
	}
	return down, nil
}

// countStates counts the work of each state in the queue and the backend of a filter.
// Other words of a filter have no counts: they would cost a search.
func (d *Dashboard) countStates(ctx context.Context, filter inspect.Filter) []screens.StateCount {
	counted := inspect.Filter{Backend: filter.Backend, Queue: filter.Queue, State: filter.State}
	if counted.String() != filter.String() {
		return []screens.StateCount{}
	}
	queues, _ := d.readQueues(ctx)
	counts := make([]screens.StateCount, len(inspect.CountedStates))
	for i, state := range inspect.CountedStates {
		counts[i].State = state
	}
	for _, queue := range queues {
		if filter.Backend != "" && filter.Backend != queue.Backend || filter.Queue != "" && filter.Queue != queue.Name {
			continue
		}
		for i, state := range inspect.CountedStates {
			counts[i].Count += queue.Counts[state]
			counts[i].More = counts[i].More || slices.Contains(queue.More, state)
		}
	}
	return counts
}

// readQueues reads the queues of both backends, and says which does not reply.
func (d *Dashboard) readQueues(ctx context.Context) (queues []inspect.Queue, down []string) {
	for _, backend := range d.readBackends(ctx) {
		queues = append(queues, backend.Queues...)
		if backend.Down != "" && !slices.Contains(down, backend.Down) {
			down = append(down, backend.Down)
		}
	}
	return queues, down
}
