package dashboard

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs/inspect"
	"slipway/internal/ops"
	"slipway/internal/telemetry"
)

// Private

// tracesView is a list of traces.
type tracesView struct {
	Show   string            `json:"show"` // recent, slow or failed
	Name   string            `json:"q"`    // a part of the route or kind
	Role   string            `json:"role"`
	Traces []ops.StoredTrace `json:"traces"`
}

// traceView is all that one id did.
type traceView struct {
	ID     string            `json:"id"`
	Traces []ops.StoredTrace `json:"traces"`
	Jobs   []inspect.Item    `json:"jobs"` // that it enqueued, the newest first
}

// traceOrders are the values of tracesView.Show.
var traceOrders = []string{"recent", "slow", "failed"}

func (d *Dashboard) listTraces(c echo.Context) error {
	ctx, cancel := d.bounded(c)
	defer cancel()
	view := tracesView{
		Show: traceOrders[0], Name: storable(c.QueryParam("q")), Role: storable(c.QueryParam("role")), Traces: []ops.StoredTrace{},
	}
	for _, order := range traceOrders {
		if order == c.QueryParam("show") {
			view.Show = order
		}
	}
	query := ops.TraceQuery{Name: view.Name, Role: view.Role, Slow: view.Show == "slow", Failed: view.Show == "failed"}
	traces, err := d.reader.Traces(ctx, query)
	if err != nil {
		return err
	}
	view.Traces = append(view.Traces, traces...)
	return d.Show(c, view, tracesPage(d.Frame(c, "Traces", "Traces"), view))
}

// showTrace shows all that one id did. Without a trace, it says why that may be so, and
// still shows the jobs of the id.
func (d *Dashboard) showTrace(c echo.Context) error {
	ctx, cancel := d.bounded(c)
	defer cancel()
	view := traceView{ID: traceID(c), Traces: []ops.StoredTrace{}, Jobs: []inspect.Item{}}
	enqueued, err := d.enqueuedBy(ctx, view.ID)
	if err != nil {
		return err
	}
	view.Jobs = append(view.Jobs, enqueued...)
	traces, err := d.reader.Trace(ctx, view.ID)
	if errors.Is(err, ops.ErrNotFound) {
		return d.ShowAs(c, http.StatusNotFound, view, missingTracePage(d.Frame(c, "Traces", "No such trace"), view, d.kept))
	}
	if err != nil {
		return err
	}
	view.Traces = append(view.Traces, traces...)
	return d.Show(c, view, tracePage(d.Frame(c, "Traces", "Trace"), view))
}

// enqueuedBy returns the jobs that a request, a job or a task enqueued.
func (d *Dashboard) enqueuedBy(ctx context.Context, id string) ([]inspect.Item, error) {
	if work, err := inspect.ParseID(id); err == nil {
		return d.jobs.CausedBy(ctx, work)
	}
	return d.jobs.CausedByRequest(ctx, id)
}

// traceID reads the id at the end of the path. It may hold any character.
func traceID(c echo.Context) string {
	id := c.Param("id")
	if plain, err := url.PathUnescape(id); c.Request().URL.RawPath != "" && err == nil {
		id = plain
	}
	return storable(id)
}

func tracePath(id string) string { return "/ops/trace/" + url.PathEscape(id) }

// callTotals are the calls of one kind within a trace.
type callTotals struct {
	kind  telemetry.SpanKind
	count int
	took  time.Duration
}

// totalsOf adds up the calls of a trace, in the order of the kinds.
func totalsOf(trace ops.StoredTrace) (all []callTotals) {
	for _, kind := range spanKinds {
		total := callTotals{kind: kind}
		for _, span := range trace.Spans {
			if span.Kind == kind {
				total.count++
				total.took += microseconds(span.Took)
			}
		}
		if total.count > 0 {
			all = append(all, total)
		}
	}
	return all
}

var spanKinds = []telemetry.SpanKind{
	telemetry.SQLSpan, telemetry.RedisSpan, telemetry.OutgoingSpan, telemetry.EnqueueSpan, telemetry.WaitSpan,
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }
