package ops

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrorGroup is all errors with one cause.
type ErrorGroup struct {
	ID         string     `json:"id"`
	Title      string     `json:"title"` // the type of the error, or what failed
	Source     string     `json:"source"`
	Class      string     `json:"class"`
	Backend    string     `json:"backend,omitempty"`
	Role       string     `json:"role"`    // that had the last one
	Version    string     `json:"version"` // that had the last one
	Message    string     `json:"message"` // of the last one
	Stack      string     `json:"stack,omitempty"`
	Trace      string     `json:"trace,omitempty"` // of the last one: the id of its request, job or task
	Count      int64      `json:"count"`
	First      time.Time  `json:"first_at"`
	Last       time.Time  `json:"last_at"`
	ResolvedAt *time.Time `json:"resolved_at,omitempty"` // nil: open
	ResolvedBy string     `json:"resolved_by,omitempty"`
	ReopenedAt *time.Time `json:"reopened_at,omitempty"`
}

// ErrorState selects groups of errors.
type ErrorState string

// The states of groups.
const (
	OpenErrors     ErrorState = "open"
	ResolvedErrors ErrorState = "resolved"
)

// Errors returns up to most groups of a state, those seen last first.
func (r *Reader) Errors(ctx context.Context, state ErrorState, most int) ([]ErrorGroup, error) {
	rows, err := r.db.Query(ctx, errorColumns+`
		WHERE (resolved_at IS NOT NULL) = $1
		ORDER BY last_at DESC, id
		LIMIT $2`, state == ResolvedErrors, most)
	if err != nil {
		return nil, fmt.Errorf("list errors: %w", err)
	}
	groups, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ErrorGroup])
	if err != nil {
		return nil, fmt.Errorf("list errors: %w", err)
	}
	return groups, nil
}

// CountErrors returns the number of open groups.
func (r *Reader) CountErrors(ctx context.Context) (open int, err error) {
	if err := r.db.QueryRow(ctx, `SELECT count(*) FROM ops_errors WHERE resolved_at IS NULL`).Scan(&open); err != nil {
		return 0, fmt.Errorf("count errors: %w", err)
	}
	return open, nil
}

// Error returns a group, or ErrNotFound.
func (r *Reader) Error(ctx context.Context, id string) (ErrorGroup, error) {
	rows, err := r.db.Query(ctx, errorColumns+`WHERE id = $1`, id)
	if err != nil {
		return ErrorGroup{}, fmt.Errorf("read error %s: %w", id, err)
	}
	group, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[ErrorGroup])
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrorGroup{}, fmt.Errorf("error %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return ErrorGroup{}, fmt.Errorf("read error %s: %w", id, err)
	}
	return group, nil
}

// Resolve marks a group as mended by an operator. When it happens again, it is opened
// again. A group that is resolved already stays as it is.
func (r *Reader) Resolve(ctx context.Context, id, by string) error {
	return r.changeError(ctx, id, `
		UPDATE ops_errors
		SET resolved_at = coalesce(resolved_at, clock_timestamp()), resolved_by = CASE WHEN resolved_at IS NULL THEN $2 ELSE resolved_by END
		WHERE id = $1`, by)
}

// Reopen marks a group as not mended.
func (r *Reader) Reopen(ctx context.Context, id string) error {
	return r.changeError(ctx, id, `UPDATE ops_errors SET resolved_at = NULL, resolved_by = '', reopened_at = clock_timestamp() WHERE id = $1`)
}

// Private

const errorColumns = `
		SELECT id, title, source, class, backend, role, version, message, stack, trace, count, first_at, last_at,
		       resolved_at, resolved_by, reopened_at
		FROM ops_errors
		`

func (r *Reader) changeError(ctx context.Context, id, statement string, values ...any) error {
	changed, err := r.db.Exec(ctx, statement, append([]any{id}, values...)...)
	if err != nil {
		return fmt.Errorf("change error %s: %w", id, err)
	}
	if changed.RowsAffected() == 0 {
		return fmt.Errorf("error %s: %w", id, ErrNotFound)
	}
	return nil
}
