package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Yield returns a context whose callers never use the reserve of a pool (see
// Options.Reserve): they wait until another of their kind returns a connection.
func Yield(ctx context.Context) context.Context { return context.WithValue(ctx, yieldKey{}, true) }

// Private

type yieldKey struct{}

// reserve keeps connections of a pool for callers that do not yield. It implements
// pgxpool's tracers, which the pool calls around the use of a connection.
type reserve struct {
	shared chan struct{} // holds one item for each connection of a caller that yields

	mutex  sync.Mutex
	yields map[*pgx.Conn]struct{} // connections of callers that yield
}

// installReserve makes a reserve part of a pool's configuration, before the pool
// opens. At least one connection stays for callers that yield.
func installReserve(config *pgxpool.Config, size int) {
	shared := max(int(config.MaxConns)-size, 1)
	config.ConnConfig.Tracer = &reserve{shared: make(chan struct{}, shared), yields: map[*pgx.Conn]struct{}{}}
}

// TraceAcquireStart waits for the turn of a caller that yields. When ctx ends
// first, the pool returns its error.
func (r *reserve) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if yields, _ := ctx.Value(yieldKey{}).(bool); !yields {
		return ctx
	}
	select {
	case r.shared <- struct{}{}:
		return context.WithValue(ctx, turnKey{}, true)
	case <-ctx.Done():
		return ctx
	}
}

func (r *reserve) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	if hasTurn, _ := ctx.Value(turnKey{}).(bool); !hasTurn {
		return
	}
	if data.Conn == nil {
		<-r.shared
		return
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.yields[data.Conn] = struct{}{}
}

func (r *reserve) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, yields := r.yields[data.Conn]; yields {
		delete(r.yields, data.Conn)
		<-r.shared
	}
}

// TraceQueryStart and TraceQueryEnd do nothing: pgx wants them of every tracer.
func (r *reserve) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (r *reserve) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// turnKey is the context key of a caller that yields and has had its turn.
type turnKey struct{}
