package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/telemetry"
)

// Keep takes a trace to be stored.
func (r *Recorder) Keep(trace telemetry.Ended) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	room := mostPendingTraces
	if trace.Sampled {
		room /= 2 // the other half is for those that failed or were slow
	}
	if len(r.traces) >= room {
		r.dropped.WithLabelValues(droppedTraces).Inc()
		return
	}
	r.traces = append(r.traces, trace)
}

// Private

// mostPendingTraces bounds the traces between two writes: in a storm of errors, the
// first ones of each interval are kept.
const mostPendingTraces = 100

// Span is a call within a trace, as it is stored and shown.
type Span struct {
	Kind  telemetry.SpanKind `json:"kind"`
	Name  string             `json:"name"`
	After int64              `json:"after_us"` // microseconds from the start of its trace
	Took  int64              `json:"took_us"`
	Class string             `json:"error,omitempty"` // class of its error
}

// storeTraces writes the traces that wait. What cannot be written is lost: the next
// ones are worth more.
func (r *Recorder) storeTraces(ctx context.Context, db *pgxpool.Pool) error {
	r.mutex.Lock()
	taken := r.traces
	r.traces = nil
	r.mutex.Unlock()
	if len(taken) == 0 {
		return nil
	}
	var traces, kinds, names, works, parents, outcomes, spans []string
	var attempts, dropped []int
	var failed []bool
	var started []time.Time
	var took []int64
	for _, one := range taken {
		traces, kinds, names = append(traces, shortText(one.ID)), append(kinds, string(one.Kind)), append(names, shortText(one.Name))
		works, parents = append(works, shortText(one.Work)), append(parents, shortText(one.Parent))
		attempts, outcomes, failed = append(attempts, one.Attempt), append(outcomes, shortText(one.Outcome)), append(failed, one.Failed)
		started, took = append(started, one.Started), append(took, one.Took.Microseconds())
		spans, dropped = append(spans, spansJSON(one.Spans)), append(dropped, one.Dropped)
	}
	_, err := db.Exec(ctx, `
		INSERT INTO ops_traces (
			trace, kind, name, work, parent, attempt, outcome, failed, started_at, took_us, spans, dropped, role, version
		)
		SELECT *, $13, $14
		FROM unnest(
			$1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::boolean[],
			$9::timestamptz[], $10::bigint[], $11::text[]::jsonb[], $12::integer[]
		)`, traces, kinds, names, works, parents, attempts, outcomes, failed, started, took, spans, dropped, r.options.Role, r.options.Version)
	if err != nil {
		r.dropped.WithLabelValues(droppedTraces).Add(float64(len(taken)))
		return fmt.Errorf("store traces: %w", err)
	}
	r.unpruned += len(taken)
	return nil
}

func spansJSON(spans []telemetry.Span) string {
	stored := make([]Span, len(spans))
	for i, span := range spans {
		stored[i] = Span{
			Kind: span.Kind, Name: printable(span.Name), After: span.After.Microseconds(), Took: span.Took.Microseconds(), Class: span.Class,
		}
		if span.Kind == telemetry.SQLSpan {
			stored[i].Name = shortStatement(stored[i].Name)
		}
	}
	written, _ := json.Marshal(stored) // no error: texts and numbers
	return string(written)
}
