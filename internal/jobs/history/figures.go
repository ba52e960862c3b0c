package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Figures are the runs of some time.
type Figures struct {
	Done      int64 `json:"done"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	Expired   int64 `json:"expired"`
	Later     int64 `json:"later"`    // snoozed
	Returned  int64 `json:"returned"` // to their queue, because the worker stopped
	Run       Times `json:"run"`      // of done and failed runs
	Wait      Times `json:"wait"`     // of the same from due to start, where it is known
}

// Processed are the runs that came to an end of their own, good or bad.
func (f Figures) Processed() int64 { return f.Done + f.Failed }

// Point is one step of a series.
type Point struct {
	At      time.Time     `json:"at"` // its start
	Step    time.Duration `json:"step"`
	Partial bool          `json:"partial"` // it has not ended yet
	Figures
}

// KindFigures are the runs of one kind in one queue.
type KindFigures struct {
	Backend string `json:"backend"`
	Queue   string `json:"queue"`
	Kind    string `json:"kind"`
	Figures
}

// Series returns the figures of each step, the oldest first. A step without runs has
// zero figures.
func (h *History) Series(ctx context.Context, q Query) ([]Point, error) {
	now, err := h.now(ctx)
	if err != nil {
		return nil, err
	}
	s := q.spanAt(now)
	groups, err := h.sum(ctx, q, s, bySteps)
	if err != nil {
		return nil, err
	}
	points := make([]Point, s.points())
	for i := range points {
		at := s.from.Add(time.Duration(i) * s.step)
		points[i] = Point{At: at, Step: s.step, Partial: at.Add(s.step).After(now), Figures: groups[group{at: at.Unix()}]}
	}
	return points, nil
}

// ByKind returns the figures of each kind and queue, the one with the most run time
// first.
func (h *History) ByKind(ctx context.Context, q Query) ([]KindFigures, error) {
	now, err := h.now(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := h.sum(ctx, q, q.spanAt(now), byKinds)
	if err != nil {
		return nil, err
	}
	kinds := make([]KindFigures, 0, len(groups))
	for of, figures := range groups {
		kinds = append(kinds, KindFigures{Backend: of.backend, Queue: of.queue, Kind: of.kind, Figures: figures})
	}
	slices.SortFunc(kinds, func(a, b KindFigures) int {
		return cmp.Or(
			cmp.Compare(b.Run.total(), a.Run.total()), cmp.Compare(a.Backend, b.Backend), cmp.Compare(a.Queue, b.Queue), cmp.Compare(a.Kind, b.Kind),
		)
	})
	return kinds, nil
}

// Private

// group is what a sum belongs to: a step by its start in Unix seconds, or a kind.
type group struct {
	at                   int64
	backend, queue, kind string
}

// The columns of a group in SQL, where $3 is the step in seconds.
const (
	bySteps = `extract(epoch FROM at)::bigint / $3 * $3 AS bin, '' AS backend, '' AS queue, '' AS kind`
	byKinds = `$3::bigint * 0 AS bin, backend, queue, kind`
)

// sum adds up the rows of a query by group.
func (h *History) sum(ctx context.Context, q Query, s span, by string) (map[group]Figures, error) {
	rows, err := h.db.Query(ctx, `
		SELECT `+by+`, sum(done), sum(failed), sum(cancelled), sum(expired), sum(later), sum(returned),
		       sum(run_us)::bigint, sum(wait_us)::bigint, sum(runs)::text, sum(waits)::text
		FROM job_figures AS figures
		WHERE step = $1 AND at >= $2 AND at < $4
		  AND ($5 = '' OR figures.backend = $5) AND ($6 = '' OR figures.queue = $6) AND ($7 = '' OR figures.kind = $7)
		GROUP BY 1, 2, 3, 4`, s.stored, s.from, s.seconds(), s.to, q.Backend, q.Queue, q.Kind)
	if err != nil {
		return nil, fmt.Errorf("add up the figures of jobs: %w", err)
	}
	groups := map[group]Figures{}
	var of group
	var sums Figures
	var run, wait int64
	var runs, waits string
	_, err = pgx.ForEachRow(rows, []any{
		&of.at, &of.backend, &of.queue, &of.kind, &sums.Done, &sums.Failed, &sums.Cancelled, &sums.Expired, &sums.Later, &sums.Returned,
		&run, &wait, &runs, &waits,
	}, func() error {
		runTimes, err := histogramOf(runs)
		if err != nil {
			return err
		}
		waitTimes, err := histogramOf(waits)
		if err != nil {
			return err
		}
		sums.Run, sums.Wait = timesOf(runTimes, run), timesOf(waitTimes, wait)
		groups[of] = sums
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add up the figures of jobs: %w", err)
	}
	return groups, nil
}
