package ops

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// StoredTrace is what one request, job or task did.
type StoredTrace struct {
	ID      string    `json:"id"`   // the same for a request and all that it caused
	Kind    string    `json:"kind"` // request, job or task
	Name    string    `json:"name"` // route or kind of work
	Work    string    `json:"work,omitempty"`
	Parent  string    `json:"parent,omitempty"`
	Attempt int       `json:"attempt,omitempty"`
	Role    string    `json:"role"`
	Version string    `json:"version"`
	Outcome string    `json:"outcome"`
	Failed  bool      `json:"failed"`
	Started time.Time `json:"started_at"`
	Took    int64     `json:"took_us"` // microseconds
	Spans   []Span    `json:"spans"`   // in the order of their ends
	Dropped int       `json:"spans_dropped,omitempty"`
}

// TraceQuery selects traces. Empty fields select everything.
type TraceQuery struct {
	Kind   string // request, job or task
	Role   string
	Name   string // a part of the route or kind
	Failed bool   // only those that failed
	Slow   bool   // the longest first, of the last day; else the newest first
}

// Traces returns traces without their spans, 100 at most.
func (r *Reader) Traces(ctx context.Context, query TraceQuery) ([]StoredTrace, error) {
	order := "id DESC"
	if query.Slow {
		order = "took_us DESC, id DESC"
	}
	rows, err := r.db.Query(ctx, `
		SELECT trace, kind, name, work, parent, attempt, role, version, outcome, failed, started_at, took_us, '[]'::jsonb AS spans, dropped
		FROM ops_traces
		WHERE ($1 = '' OR kind = $1) AND ($2 = '' OR role = $2) AND strpos(lower(name), lower($3)) > 0 AND (failed OR NOT $4)
		  AND (NOT $5 OR started_at > now() - interval '1 day')
		ORDER BY `+order+`
		LIMIT 100`, query.Kind, query.Role, query.Name, query.Failed, query.Slow)
	if err != nil {
		return nil, fmt.Errorf("list traces: %w", err)
	}
	traces, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StoredTrace])
	if err != nil {
		return nil, fmt.Errorf("list traces: %w", err)
	}
	return traces, nil
}

// Trace returns all that one id did in all roles, in the order of their starts, 200 at
// most, or ErrNotFound. The id is that of a request, or of a job or task, as operators
// write it or as log lines have it, for which it returns all of its trace. For work that
// no request caused, what it enqueued is included.
func (r *Reader) Trace(ctx context.Context, id string) ([]StoredTrace, error) {
	rows, err := r.db.Query(ctx, `
		SELECT trace, kind, name, work, parent, attempt, role, version, outcome, failed, started_at, took_us, spans, dropped
		FROM ops_traces
		WHERE trace = $1 OR (parent = $1 AND parent <> '') OR trace IN (
			SELECT trace FROM ops_traces WHERE work <> '' AND (work = $1 OR right(work, length($1) + 1) = ':' || $1)
		)
		ORDER BY started_at, id
		LIMIT 200`, id)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	traces, err := pgx.CollectRows(rows, pgx.RowToStructByPos[StoredTrace])
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	if len(traces) == 0 {
		return nil, fmt.Errorf("trace %q: %w", id, ErrNotFound)
	}
	return traces, nil
}
