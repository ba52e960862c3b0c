package shop

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Reads gathers what a page needs of the database and reads it in one round trip. Its
// methods return where the result will be, which Do fills. A Reads is used once, by one
// goroutine.
//
// Lists of products are cached. One that is not costs another round trip, as does the
// first page of a sale.
type Reads struct {
	shop  *Shop
	batch pgx.Batch
	after []func(ctx context.Context) error // what depends on the rows
	err   error                             // of a cached list
}

// Reads begins the reads of a page.
func (s *Shop) Reads() *Reads { return &Reads{shop: s} }

// Do reads. It returns the error of the first read that failed: ErrNotFound when the
// page is of a thing that does not exist.
func (r *Reads) Do(ctx context.Context) error {
	if r.err != nil {
		return r.err
	}
	if r.batch.Len() > 0 {
		if err := r.shop.db.SendBatch(ctx, &r.batch).Close(); err != nil {
			return err
		}
	}
	for _, after := range r.after {
		if err := after(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Private

// statement is a SELECT, and how to collect its rows.
type statement[T any] struct {
	doing     string // for errors, such as "find product"
	sql       string
	arguments []any
	collect   func(rows pgx.Rows) (T, error)
}

// read reads a statement on its own.
func (s statement[T]) read(ctx context.Context, db querier) (value T, err error) {
	rows, err := db.Query(ctx, s.sql, s.arguments...)
	if err != nil {
		return value, fmt.Errorf("%s: %w", s.doing, err)
	}
	return s.from(rows)
}

// from collects the rows.
func (s statement[T]) from(rows pgx.Rows) (T, error) {
	value, err := s.collect(rows)
	if err != nil {
		return value, fmt.Errorf("%s: %w", s.doing, err)
	}
	return value, nil
}

// as makes something else of what a statement reads.
func as[T, U any](s statement[T], convert func(T) U) statement[U] {
	return statement[U]{doing: s.doing, sql: s.sql, arguments: s.arguments, collect: func(rows pgx.Rows) (U, error) {
		value, err := s.collect(rows)
		return convert(value), err
	}}
}

// read adds a statement to reads.
func read[T any](r *Reads, s statement[T]) *T {
	value := new(T)
	r.batch.Queue(s.sql, s.arguments...).Query(func(rows pgx.Rows) (err error) {
		*value, err = s.from(rows)
		return err
	})
	return value
}

// then has Do call a function when everything is read.
func (r *Reads) then(after func(ctx context.Context) error) { r.after = append(r.after, after) }

// fail makes Do return an error.
func (r *Reads) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}
