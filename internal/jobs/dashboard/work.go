package dashboard

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
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
		return d.ShowAs(c, http.StatusUnprocessableEntity, view, screens.List(d.Frame(c, "Work", "Work"), view))
	}
	filter.Limit, filter.After = rowsOfPage, inspect.Cursor(c.QueryParam("after"))
	view.Later = filter.After != ""

	down, err := d.readWork(c.Request().Context(), filter, &view)
	if err != nil {
		return err
	}
	return d.Show(c, view, screens.List(d.Frame(c, "Work", "Work", down...), view))
}

// readWork fills a list. When one backend does not reply, it lists the other.
func (d *Dashboard) readWork(ctx context.Context, filter inspect.Filter, view *screens.Work) (down []string, err error) {
	counts := make(chan []screens.StateCount, 1)
	go func() { counts <- d.countStates(ctx, filter) }()
	var page inspect.Page
	err = d.within(ctx, func(ctx context.Context) error {
		page, down, err = d.listHalves(ctx, filter)
		return err
	})
	view.Counts = <-counts
	view.Next, view.Read = page.Next, page.Read
	view.Items = append(view.Items, page.Items...)
	return down, err
}

// listed is what a list returned.
type listed struct {
	page inspect.Page
	err  error
}

// listHalves lists the work of both backends, and says which does not reply. PostgreSQL
// is read first: when it takes long, what is in Redis is read at the same time, so that
// this half is there when the time is up.
func (d *Dashboard) listHalves(ctx context.Context, filter inspect.Filter) (page inspect.Page, down []string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	read := func(list func(context.Context, inspect.Filter) (inspect.Page, error)) <-chan listed {
		done := make(chan listed, 1)
		reading.Go(func() {
			page, err := list(ctx, filter)
			done <- listed{page, err}
		})
		return done
	}
	both := read(d.inspector.List)
	inRedis := sync.OnceValue(func() <-chan listed { return read(d.inspector.ListRedis) })
	var found listed
	select {
	case found = <-both:
	case <-time.After(d.patience / 2):
		if filter.Backend != jobs.PG {
			inRedis()
		}
		found = <-both
	}
	switch {
	case found.err == nil:
		return found.page, nil, nil
	case errors.Is(found.err, inspect.ErrCursor), errors.Is(found.err, inspect.ErrFilter):
		return found.page, nil, found.err
	case errors.Is(found.err, inspect.ErrNoRedis):
		return found.page, []string{"There is no Redis: REDIS_URL is not set."}, nil
	case filter.Backend == jobs.PG, errors.Is(found.err, inspect.ErrRedis):
		return found.page, []string{operators.DownText(found.err)}, nil
	}
	page, down = found.page, []string{operators.DownText(found.err)}
	half := <-inRedis()
	page.Items = append(page.Items, half.page.Items...)
	page.Next, page.Read = half.page.Next, page.Read+half.page.Read
	if errors.Is(half.err, inspect.ErrRedis) {
		down = append(down, operators.DownText(half.err))
	}
	return page, down, nil
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
