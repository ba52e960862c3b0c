package dashboard

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/dashboard/screens"
	"slipway/internal/jobs/history"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
)

// longWait is how long due work may wait before the overview says so.
const longWait = time.Minute

// Private

func (d *Dashboard) showOverview(c echo.Context) error {
	ctx := c.Request().Context()
	view := screens.Overview{Range: c.QueryParam("range"), Wrong: []screens.Wrong{}, Workers: []screens.Worker{},
		Points: []history.Point{}, Depths: []history.DepthPoint{}, Kinds: []history.KindFigures{}, Deploys: []history.Deploy{}}
	query := history.Query{}
	for _, one := range screens.Ranges {
		if one.Name == view.Range {
			query.Since = one.Time
		}
	}
	if query.Since == 0 {
		view.Range, query.Since = screens.Ranges[0].Name, screens.Ranges[0].Time
	}

	now := make(chan struct{})
	go func() {
		defer close(now)
		view.Backends = d.readBackends(ctx)
	}()
	err := d.within(ctx, func(ctx context.Context) error { return d.readFigures(ctx, query, &view) })
	<-now
	var down []string
	if err != nil {
		down = []string{operators.DownText(err)}
	}
	view.Wrong = append(view.Wrong, wrong(view, err == nil)...)
	return d.Show(c, view, screens.Home(d.Frame(c, "Overview", "Overview", down...), view))
}

// readBackends reads the queues of both backends at the same time, each for a bounded
// time, or why that is not possible.
func (d *Dashboard) readBackends(ctx context.Context) []screens.Backend {
	halves := []screens.Backend{{Backend: jobs.PG}, {Backend: jobs.Redis}}
	var reading sync.WaitGroup
	for i := range halves {
		reading.Go(func() {
			half := &halves[i]
			err := d.within(ctx, func(ctx context.Context) error {
				queues, err := d.inspector.QueuesOf(ctx, half.Backend)
				half.Queues = append([]inspect.Queue{}, queues...)
				return err
			})
			if err != nil {
				half.Down = operators.DownText(err)
			}
		})
	}
	reading.Wait()
	return halves
}

// readFigures reads the workers and the stored figures of some time.
func (d *Dashboard) readFigures(ctx context.Context, query history.Query, view *screens.Overview) error {
	workers, err := d.readWorkers(ctx)
	if err != nil {
		return err
	}
	view.Workers = workers.Workers
	points, err := d.history.Series(ctx, query)
	if err != nil {
		return err
	}
	view.Points = append(view.Points, points...)
	depths, err := d.history.Depths(ctx, query)
	if err != nil {
		return err
	}
	view.Depths = append(view.Depths, depths...)
	kinds, err := d.history.ByKind(ctx, query)
	if err != nil {
		return err
	}
	view.Kinds = append(view.Kinds, kinds...)
	if len(points) == 0 {
		return nil
	}
	last := points[len(points)-1]
	deploys, err := d.history.Deploys(ctx, points[0].At, last.At.Add(last.Step))
	view.Deploys = append(view.Deploys, deploys...)
	return err
}

// wrong says in words what needs somebody now, the worst first.
func wrong(view screens.Overview, workersKnown bool) []screens.Wrong {
	var all []screens.Wrong
	for _, backend := range view.Backends {
		if backend.Down != "" {
			all = append(all, screens.Wrong{Text: backend.Down, Bad: true})
		}
	}
	if workersKnown {
		for _, backend := range view.Backends {
			if backend.Down == "" && !hasWorker(view.Workers, backend.Backend) {
				text := fmt.Sprintf("No worker of %s runs: its work waits until app worker-%[1]s starts.", backend.Backend)
				all = append(all, screens.Wrong{Text: text, Path: "/jobs/workers", Bad: true})
			}
		}
	}
	for _, worker := range view.Workers {
		if worker.Silent {
			text := fmt.Sprintf("The worker %s, pid %d, sends no heartbeat: it is dead, frozen, or has no database.", worker.Host, worker.PID)
			all = append(all, screens.Wrong{Text: text, Path: "/jobs/workers", Bad: true})
		}
	}
	failed := 0
	for _, backend := range view.Backends {
		for _, queue := range backend.Queues {
			filter := inspect.Filter{Backend: backend.Backend, Queue: queue.Name}
			failed += queue.Counts[inspect.Failed]
			switch {
			case queue.Paused && queue.Counts[inspect.Pending] > 0:
				text := fmt.Sprintf("The queue %s of %s is paused, and %s wait in it.", queue.Name, backend.Backend,
					operators.Capped(queue.Counts[inspect.Pending], slices.Contains(queue.More, inspect.Pending)))
				all = append(all, screens.Wrong{Text: text, Path: "/jobs/queues"})
			case queue.Counts[inspect.Pending] > 0 && queue.Oldest > longWait:
				text := fmt.Sprintf("In the queue %s of %s, the oldest due work has waited for %s.",
					queue.Name, backend.Backend, operators.Duration(queue.Oldest))
				filter.State = inspect.Pending
				all = append(all, screens.Wrong{Text: text, Path: screens.WorkPath(filter), Bad: true})
			}
		}
	}
	if failed > 0 {
		text := fmt.Sprintf("%s failed for good, and wait for a decision.", operators.Number(failed))
		all = append(all, screens.Wrong{Text: text, Path: "/jobs/failures"})
	}
	return all
}

func hasWorker(workers []screens.Worker, backend jobs.Backend) bool {
	return slices.ContainsFunc(workers, func(w screens.Worker) bool { return w.Backend == backend && !w.Silent })
}
