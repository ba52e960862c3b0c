package dashboard

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
	"slipway/internal/operators"
	"slipway/internal/ops"
)

// Private

const (
	// mostListed bounds the entries of one list of the pulse.
	mostListed = 10
	// mostErrors bounds the errors that the pulse names.
	mostErrors = 5
	// recently is how long after its last time an open error is urgent.
	recently = time.Hour
	// backlogPatience is the time for counting what waits. The pulse is shown without it.
	backlogPatience = 900 * time.Millisecond
)

// pulseView is the pulse, and what is wrong now.
type pulseView struct {
	ops.Pulse

	Wrong      []wrong          `json:"wrong"`
	OpenErrors int              `json:"open_errors"`
	Errors     []ops.ErrorGroup `json:"errors"` // some of the open ones, those seen last first
	Backlog    []backlog        `json:"backlog"`
}

// wrong is something that is wrong now, in words.
type wrong struct {
	Text string `json:"text"`
	Path string `json:"path,omitempty"` // of the page that shows it
	Bad  bool   `json:"bad"`            // not only worth a look
}

// backlog is the work of one backend that has not ended well.
type backlog struct {
	Backend jobs.Backend  `json:"backend"`
	Waiting int           `json:"waiting"` // due and not running
	Failed  int           `json:"failed"`  // for good
	More    bool          `json:"more"`    // there are more of both
	Oldest  time.Duration `json:"oldest"`  // how long the oldest has been due, in nanoseconds
	Down    string        `json:"down,omitempty"`
}

func (d *Dashboard) showPulse(c echo.Context) error {
	ctx, cancel := d.bounded(c)
	defer cancel()
	counted := make(chan []backlog, 1)
	go func() { counted <- d.countBacklog(ctx) }()
	view, err := d.readPulse(ctx, ops.RangeOf(c.QueryParam("range")))
	view.Backlog = <-counted
	if err != nil {
		return err
	}
	if d.kept.Off {
		view.Wrong = append(view.Wrong, wrong{Text: "Nothing is recorded: OPS_PULSE_ENABLED is false."})
	}
	lastHour := view.Pulse // has the shortest steps, and so says what is wrong now
	if view.Range != ops.LastHour {
		if lastHour, err = d.reader.Pulse(ctx, ops.LastHour); err != nil {
			return err
		}
	}
	view.Wrong = append(view.Wrong, view.findWrong(lastHour, time.Now())...)
	return d.Show(c, view, pulsePage(d.Frame(c, "Pulse", "Pulse"), view))
}

func (d *Dashboard) readPulse(ctx context.Context, of ops.Range) (pulseView, error) {
	view := pulseView{Wrong: []wrong{}, Errors: []ops.ErrorGroup{}}
	pulse, err := d.reader.Pulse(ctx, of)
	if err != nil {
		return view, err
	}
	open, err := d.reader.Errors(ctx, ops.OpenErrors, mostErrors)
	if err != nil {
		return view, err
	}
	view.Pulse, view.Errors = pulse, append(view.Errors, open...)
	view.OpenErrors, err = d.reader.CountErrors(ctx)
	return view, err
}

// countBacklog counts the work of both backends at the same time, or says why that
// is not possible.
func (d *Dashboard) countBacklog(ctx context.Context) []backlog {
	ctx, cancel := context.WithTimeout(ctx, backlogPatience)
	defer cancel()
	halves := []backlog{{Backend: jobs.PG}, {Backend: jobs.Redis}}
	var counting sync.WaitGroup
	for i := range halves {
		counting.Go(func() {
			half := &halves[i]
			queues, err := d.jobs.QueuesOf(ctx, half.Backend)
			half.add(queues)
			switch {
			case err != nil && isDown(err):
				half.Down = downText(err)
			case err != nil:
				half.Down = err.Error()
			}
		})
	}
	counting.Wait()
	return halves
}

func (b *backlog) add(queues []inspect.Queue) {
	for _, queue := range queues {
		b.Waiting += queue.Counts[inspect.Pending]
		b.Failed += queue.Counts[inspect.Failed]
		b.More = b.More || slices.Contains(queue.More, inspect.Pending) || slices.Contains(queue.More, inspect.Failed)
		if queue.Counts[inspect.Pending] > 0 {
			b.Oldest = max(b.Oldest, queue.Oldest)
		}
	}
}

// findWrong says in words what needs somebody now, the worst first. LastHour has what checks
// and breakers say now.
func (v pulseView) findWrong(lastHour ops.Pulse, now time.Time) []wrong {
	var all []wrong
	for _, breaker := range lastHour.Breakers {
		switch latest(breaker) {
		case 0:
			all = append(all, wrong{Text: fmt.Sprintf("The circuit breaker of Redis (%s) is open: Redis is unavailable.", breaker.Name), Bad: true})
		case 1:
		default:
			all = append(all, wrong{Text: fmt.Sprintf("The circuit breaker of Redis (%s) was open for a part of the last minute.", breaker.Name)})
		}
	}
	for _, check := range lastHour.Checks {
		switch latest(check) {
		case 0:
			all = append(all, wrong{Text: fmt.Sprintf("The check %s fails.", check.Name), Path: "/health", Bad: true})
		case 1:
		default:
			all = append(all, wrong{Text: fmt.Sprintf("The check %s failed for a part of the last minute.", check.Name), Path: "/health"})
		}
	}
	for _, role := range v.lostRoles() {
		all = append(all, wrong{Text: fmt.Sprintf("No process of %s runs any more.", role), Bad: true})
	}
	if v.OpenErrors > 0 {
		urgent := len(v.Errors) > 0 && now.Sub(v.Errors[0].Last) < recently
		all = append(all, wrong{Text: operators.Plural(v.OpenErrors, "error is open.", "errors are open."), Path: "/ops/errors", Bad: urgent})
	}
	for _, half := range v.Backlog {
		if half.Down != "" {
			all = append(all, wrong{Text: half.Down})
		}
	}
	if versions := v.versions(); len(versions) > 1 {
		all = append(all, wrong{Text: "Different builds run: " + strings.Join(versions, " and ") + "."})
	}
	return all
}

// latest is the good part of the newest sample, 1 when there is none of late: the
// process that had the check may be gone, and that is told by itself.
func latest(uptime ops.Uptime) float64 {
	const late = 3 // steps
	for _, point := range slices.Backward(uptime.Points[max(0, len(uptime.Points)-late):]) {
		if point >= 0 {
			return point
		}
	}
	return 1
}

// lostRoles are the roles of which a process was seen in the range and none runs now.
func (v pulseView) lostRoles() (lost []string) {
	for _, process := range v.Processes {
		runs := slices.ContainsFunc(v.Processes, func(p ops.Process) bool { return p.Role == process.Role && p.Running })
		if !runs && !slices.Contains(lost, process.Role) {
			lost = append(lost, process.Role)
		}
	}
	return lost
}

// versions are the builds that run now.
func (v pulseView) versions() (all []string) {
	for _, process := range v.Processes {
		if process.Running && !slices.Contains(all, process.Version) {
			all = append(all, process.Version)
		}
	}
	return all
}

// top are the first entries by a size, the largest first, without those of size 0.
func top(calls []ops.Calls, size func(ops.Calls) float64) []ops.Calls {
	sorted := slices.Clone(calls)
	slices.SortStableFunc(sorted, func(a, b ops.Calls) int { return cmp.Compare(size(b), size(a)) })
	for i, one := range sorted {
		if i == mostListed || size(one) == 0 {
			return sorted[:i]
		}
	}
	return sorted
}

func busiest(one ops.Calls) float64 { return float64(one.Count) }

func slowest(one ops.Calls) float64 { return cmp.Or(one.P95, one.Mean) }

// rate is how often something happened, in the unit that suits it.
func rate(count int, in time.Duration) string {
	perSecond := float64(count) / in.Seconds()
	if perSecond >= 1 || count == 0 {
		return operators.Amount(math.Round(perSecond*10)/10) + " /s"
	}
	return operators.Amount(math.Round(perSecond*600)/10) + " /min"
}

// percent is a part of a whole.
func percent(part, whole int) string {
	if whole == 0 {
		return "–"
	}
	value := 100 * float64(part) / float64(whole)
	switch {
	case part == 0 || part == whole || value >= 10 && value <= 90:
		return fmt.Sprintf("%.0f %%", value)
	case value < 0.1:
		return "< 0.1 %"
	case value > 99.9:
		return "> 99.9 %"
	}
	return fmt.Sprintf("%.1f %%", value)
}

func (v pulseView) requestsChart() operators.Chart {
	c := v.over("requests", "Requests", operators.Amount)
	c.Bars = []operators.Series{
		v.each("answered", "is-done", func(p ops.Point) float64 { return float64(p.Count - p.Failed) }),
		v.each("failed", "is-failed", func(p ops.Point) float64 { return float64(p.Failed) }),
	}
	return c
}

func (v pulseView) timesChart() operators.Chart {
	c := v.over("times", "Response time", operators.Seconds)
	known := func(value func(ops.Point) float64) func(ops.Point) float64 {
		return func(p ops.Point) float64 {
			if p.Count == 0 {
				return math.NaN()
			}
			return value(p)
		}
	}
	c.Lines = []operators.Series{
		v.each("p95", "is-second", known(func(p ops.Point) float64 { return p.P95 })),
		v.each("p50", "is-first", known(func(p ops.Point) float64 { return p.P50 })),
	}
	return c
}

// over is a chart of the points, without series. The first process of a build marks it.
func (v pulseView) over(id, title string, format func(float64) string) operators.Chart {
	c := operators.Chart{ID: id, Title: title, Format: format, Step: v.Range.Step()}
	for _, point := range v.Points {
		c.Times = append(c.Times, point.At)
	}
	began := map[string]time.Time{}
	for _, process := range v.Processes {
		if first, known := began[process.Version]; !known || process.Started.Before(first) {
			began[process.Version] = process.Started
		}
	}
	for version, at := range began {
		c.Marks = append(c.Marks, operators.Mark{At: at, Name: version})
	}
	return c
}

// each is a series of one value of each point.
func (v pulseView) each(name, class string, value func(ops.Point) float64) operators.Series {
	series := operators.Series{Name: name, Class: class}
	for _, point := range v.Points {
		series.Values = append(series.Values, value(point))
	}
	return series
}
