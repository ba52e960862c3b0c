package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// watch puts the guard before the connections of a pool that is yet to open.
func (g *Guard) watch(config *pgxpool.Config) {
	config.ConnConfig.Tracer = guardTracer{g}
	usual := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(connection *pgconn.PgConn, answer *pgconn.PgError) bool {
		if answer.Code == "53100" {
			g.fullAt.Store(time.Now().UnixNano())
		}
		return usual(connection, answer)
	}
}

// guardTracer is what pgxpool calls before and after somebody has one of its
// connections. The context that it returns is that of the wait alone.
type guardTracer struct{ *Guard }

func (g guardTracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if g.Silent() {
		g.refused[silent].Add(1)
		return refusal{ctx, errSilent}
	}
	if g.waiting.Add(1) > g.limit {
		g.waiting.Add(-1)
		g.refused[crowded].Add(1)
		return refusal{ctx, errCrowded}
	}
	bounded, cancel := context.WithTimeout(ctx, g.patience)
	return &acquisition{bounded, cancel}
}

func (g guardTracer) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if acquisition, waited := ctx.Value(acquisitionKey{}).(*acquisition); waited {
		g.waiting.Add(-1)
		acquisition.cancel()
		if errors.Is(data.Err, errNoneFree) {
			g.refused[noneFree].Add(1)
		}
	}
	if data.Conn == nil {
		return
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.connections[data.Conn] = struct{}{}
	if !g.silentSince.IsZero() {
		cut(data.Conn)
	}
}

func (g guardTracer) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	if !data.Conn.IsClosed() {
		g.answeredAt.Store(time.Now().UnixNano())
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	delete(g.connections, data.Conn)
}

// The driver takes only tracers of statements.

func (g guardTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (g guardTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// refusal is a context that has ended before it began, and says why.
type refusal struct {
	context.Context
	err error
}

func (r refusal) Done() <-chan struct{} { return over }
func (r refusal) Err() error            { return r.err }

var over = func() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// acquisition is the context of one wait for a connection.
type acquisition struct {
	context.Context
	cancel context.CancelFunc
}

type acquisitionKey struct{}

func (a *acquisition) Value(key any) any {
	if key == (acquisitionKey{}) {
		return a
	}
	return a.Context.Value(key)
}

func (a *acquisition) Err() error {
	err := a.Context.Err()
	if errors.Is(err, context.DeadlineExceeded) {
		return errNoneFree
	}
	return err
}
