package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/telemetry"
)

// Observe gets each execution of a statement: its text without values, the time until
// its last row was read, and its error, which may be nil. It must not block.
type Observe func(sql string, took time.Duration, err error)

// Private

// statementTracer times statements. Each becomes a span of the trace of its context.
type statementTracer struct{ observe Observe }

// installStatements makes a tracer of statements part of a pool's configuration,
// before the pool opens and after all other tracers.
func installStatements(config *pgxpool.Config, observe Observe) {
	tracer := statementTracer{observe}
	switch others := config.ConnConfig.Tracer.(type) {
	case nil:
		config.ConnConfig.Tracer = tracer
	case *multitracer.Tracer:
		others.QueryTracers = append(others.QueryTracers, tracer)
		others.BatchTracers = append(others.BatchTracers, tracer)
	default:
		config.ConnConfig.Tracer = multitracer.New(others, tracer)
	}
}

func (t statementTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return &execution{Context: ctx, sql: data.SQL, began: time.Now()}
}

func (t statementTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	if e, is := ctx.Value(executionKey{}).(*execution); is {
		t.record(ctx, e.sql, e.began, time.Now(), data.Err)
	}
}

func (t statementTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return &execution{Context: ctx, began: time.Now()}
}

// TraceBatchQuery is called when the result of one statement of a batch was read. The
// server runs them one after another, so each began when the one before it ended.
func (t statementTracer) TraceBatchQuery(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	if e, is := ctx.Value(executionKey{}).(*execution); is {
		now := time.Now()
		t.record(ctx, data.SQL, e.began, now, data.Err)
		e.began = now
	}
}

func (t statementTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (t statementTracer) record(ctx context.Context, sql string, began, ended time.Time, err error) {
	took := ended.Sub(began)
	telemetry.TraceOf(ctx).AddSpan(telemetry.SQLSpan, sql, began, took, err)
	if t.observe != nil {
		t.observe(sql, took, err)
	}
}

// execution is the context of one statement or batch. It is a type of its own because
// it costs one allocation where two values in a context cost four.
type execution struct {
	context.Context
	sql   string
	began time.Time
}

type executionKey struct{}

func (e *execution) Value(key any) any {
	if key == (executionKey{}) {
		return e
	}
	return e.Context.Value(key)
}
