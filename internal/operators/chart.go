package operators

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Chart is a drawing of figures over time. The server draws it, so that it needs no
// script.
type Chart struct {
	ID, Title string
	Times     []time.Time // the begin of each step
	Step      time.Duration
	Bars      []Series // on top of each other
	Lines     []Series
	Marks     []Mark // moments, such as a deploy
	Format    func(float64) string
}

// Series is one line, or one layer of bars. A value that is not a number is a gap.
type Series struct {
	Name, Class string
	Values      []float64
}

// Mark is a moment with a name.
type Mark struct {
	At   time.Time
	Name string
}

// Private

// The drawing, in units of its own.
const (
	chartWidth, chartHeight = 640.0, 190.0
	plotLeft, plotRight     = 52.0, 632.0
	plotTop, plotBottom     = 14.0, 164.0
)

// top is the value at the upper edge: round, and above all values.
func (c Chart) top() float64 {
	most := 0.0
	for i := range c.Times {
		most = math.Max(most, c.stacked(len(c.Bars), i))
		for _, line := range c.Lines {
			if v := line.Values[i]; v > most {
				most = v
			}
		}
	}
	return roundUp(most)
}

// roundUp returns the next of 1, 2 and 5, times a power of ten.
func roundUp(value float64) float64 {
	if value <= 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(value)))
	for _, step := range []float64{1, 2, 5} {
		if value <= step*power {
			return step * power
		}
	}
	return 10 * power
}

// stacked is the height of the first layers of bars at a step.
func (c Chart) stacked(layers, step int) (sum float64) {
	for _, bar := range c.Bars[:layers] {
		if v := bar.Values[step]; v > 0 {
			sum += v
		}
	}
	return sum
}

func (c Chart) from() time.Time { return c.Times[0] }

func (c Chart) span() time.Duration { return time.Duration(len(c.Times)) * c.Step }

// x is the place of a moment.
func (c Chart) x(at time.Time) float64 {
	return plotLeft + (plotRight-plotLeft)*float64(at.Sub(c.from()))/float64(c.span())
}

func (c Chart) y(value, top float64) float64 {
	return plotBottom - (plotBottom-plotTop)*math.Min(1, value/top)
}

// barsPath draws one layer of bars.
func (c Chart) barsPath(layer int) string {
	var path strings.Builder
	top, width := c.top(), (plotRight-plotLeft)/float64(len(c.Times))
	gap := math.Min(1, width/5)
	for i, at := range c.Times {
		below, above := c.stacked(layer, i), c.stacked(layer+1, i)
		if above <= below {
			continue
		}
		left := c.x(at)
		fmt.Fprintf(&path, "M%s %sH%sV%sH%sZ", Short(left), Short(c.y(below, top)), Short(left+width-gap), Short(c.y(above, top)), Short(left))
	}
	return path.String()
}

// linePath draws one line through the middle of each step. A gap ends it, and a value
// alone is a dot.
func (c Chart) linePath(line Series) string {
	var path strings.Builder
	top, drawing := c.top(), false
	for i, at := range c.Times {
		if math.IsNaN(line.Values[i]) {
			drawing = false
			continue
		}
		x, y := Short(c.x(at.Add(c.Step/2))), Short(c.y(line.Values[i], top))
		if drawing {
			path.WriteString("L" + x + " " + y)
			continue
		}
		path.WriteString("M" + x + " " + y + "h0.01")
		drawing = true
	}
	return path.String()
}

// tick is a label at an edge of the plot.
type tick struct {
	place float64
	text  string
}

// values are the labels of the vertical axis.
func (c Chart) values() []tick {
	top := c.top()
	var all []tick
	for _, part := range []float64{0, 0.5, 1} {
		all = append(all, tick{c.y(part*top, top), c.Format(part * top)})
	}
	return all
}

// clock are the labels of the horizontal axis, at round times.
func (c Chart) clock() []tick {
	every := time.Minute
	for _, step := range []time.Duration{
		5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour,
		6 * time.Hour, 12 * time.Hour, 24 * time.Hour, 48 * time.Hour,
	} {
		if c.span()/every <= 6 {
			break
		}
		every = step
	}
	layout := "15:04"
	if every >= 24*time.Hour {
		layout = "2 Jan"
	}
	var all []tick
	for at := c.from().Truncate(every); at.Before(c.from().Add(c.span())); at = at.Add(every) {
		if place := c.x(at); place >= plotLeft && place < plotRight-20 {
			all = append(all, tick{place, at.UTC().Format(layout)})
		}
	}
	return all
}

// shown are the marks within the time of the chart.
func (c Chart) shown() []Mark {
	var all []Mark
	for _, mark := range c.Marks {
		if !mark.At.Before(c.from()) && mark.At.Before(c.from().Add(c.span())) {
			all = append(all, mark)
		}
	}
	return all
}

// empty reports whether there is nothing to draw.
func (c Chart) empty() bool {
	for i := range c.Times {
		if c.stacked(len(c.Bars), i) > 0 {
			return false
		}
		for _, line := range c.Lines {
			if line.Values[i] > 0 {
				return false
			}
		}
	}
	return true
}

// latest is the newest value of a series, for those who do not see the drawing.
func (c Chart) latest(series Series) string {
	for i := len(series.Values) - 1; i >= 0; i-- {
		if !math.IsNaN(series.Values[i]) {
			return c.Format(series.Values[i])
		}
	}
	return "none"
}

// largest is the largest value of a series.
func (c Chart) largest(series Series) string {
	most := 0.0
	for _, value := range series.Values {
		if value > most {
			most = value
		}
	}
	return c.Format(most)
}

func (c Chart) all() []Series { return append(append([]Series{}, c.Bars...), c.Lines...) }

// Short is a number with one digit after the point, as drawings need it.
func Short(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
