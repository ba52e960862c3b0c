package dashboard

import (
	"slices"
	"strconv"
	"time"

	"slipway/internal/ops"
)

// Private

// waterfall places traces on one axis of time. A long time in which nothing happened is
// cut out, so that a job that ran an hour after its request leaves both readable.
type waterfall struct {
	began  time.Time
	pieces []piece
	width  time.Duration // of all pieces and of what is left of the gaps between them
	gap    time.Duration // that is left of a longer one
}

// piece is a time in which something happened.
type piece struct {
	from, to time.Time
	place    time.Duration // of from on the axis
	cut      time.Duration // how much was cut out before it
}

// barWidth is the width of a row of bars, in units of its drawing.
const barWidth = 1000

// newWaterfall makes the axis of traces, of which there is at least one.
func newWaterfall(traces []ops.StoredTrace) waterfall {
	traces = slices.SortedFunc(slices.Values(traces), func(a, b ops.StoredTrace) int { return a.Started.Compare(b.Started) })
	w := waterfall{began: traces[0].Started}
	var active time.Duration
	for _, trace := range traces {
		end := trace.Started.Add(max(microseconds(trace.Took), time.Microsecond))
		if last := len(w.pieces) - 1; last >= 0 && !trace.Started.After(w.pieces[last].to) {
			if end.After(w.pieces[last].to) {
				w.pieces[last].to = end
			}
			continue
		}
		w.pieces = append(w.pieces, piece{from: trace.Started, to: end})
	}
	for _, one := range w.pieces {
		active += one.to.Sub(one.from)
	}
	w.gap = active / 10
	for i := range w.pieces {
		one := &w.pieces[i]
		if i > 0 {
			idle := one.from.Sub(w.pieces[i-1].to)
			one.cut = max(0, idle-w.gap)
			w.width += idle - one.cut
		}
		one.place = w.width
		w.width += one.to.Sub(one.from)
	}
	return w
}

// x is the place of a moment in a row of bars.
func (w waterfall) x(at time.Time) float64 {
	place := time.Duration(0)
	for _, one := range w.pieces {
		if at.Before(one.from) {
			break
		}
		place = one.place + min(at.Sub(one.from), one.to.Sub(one.from))
	}
	return barWidth * float64(place) / float64(w.width)
}

// bar is a row of one bar, at least wide enough to be seen.
type bar struct{ x, width string }

func (w waterfall) bar(from time.Time, took time.Duration) bar {
	const least = 3
	x, end := w.x(from), w.x(from.Add(took))
	width := max(least, end-x)
	x = min(x, barWidth-width)
	return bar{decimal(x), decimal(width)}
}

func (w waterfall) ofTrace(trace ops.StoredTrace) bar {
	return w.bar(trace.Started, microseconds(trace.Took))
}

func (w waterfall) ofSpan(trace ops.StoredTrace, span ops.Span) bar {
	return w.bar(trace.Started.Add(microseconds(span.After)), microseconds(span.Took))
}

// cuts are the places at which something was cut out of the axis.
func (w waterfall) cuts() (places []string) {
	for _, one := range w.pieces {
		if one.cut > 0 {
			places = append(places, decimal(barWidth*float64(one.place-w.gap/2)/float64(w.width)))
		}
	}
	return places
}

// longestCut is the longest time that is not drawn, 0 when all is.
func (w waterfall) longestCut() (longest time.Duration) {
	for _, one := range w.pieces {
		longest = max(longest, one.cut)
	}
	return longest
}

// spansOf are the spans of a trace by their start.
func spansOf(trace ops.StoredTrace) []ops.Span {
	return slices.SortedStableFunc(slices.Values(trace.Spans), func(a, b ops.Span) int { return int(a.After - b.After) })
}

func decimal(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }
