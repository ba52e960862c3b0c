package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Private

// install makes the guard part of a pool's configuration, before the pool opens.
func (g *Guard) install(config *pgxpool.Config) {
	config.ConnConfig.Tracer = guardTracer{g}
	previous := config.ConnConfig.OnPgError
	config.ConnConfig.OnPgError = func(connection *pgconn.PgConn, reply *pgconn.PgError) bool {
		if reply.Code == "53100" { // disk_full
			g.fullAt.Store(time.Now().UnixNano())
		}
		return previous(connection, reply)
	}
}

// guardTracer implements pgxpool's tracers, which the pool calls around the use of
// a connection. The context that TraceAcquireStart returns bounds the wait for a
// connection, and not its use.
type guardTracer struct{ *Guard }

func (g guardTracer) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	if g.Silent() {
		g.refused[silent].Add(1)
		return refusal{ctx, errSilent}
	}
	if g.waiting.Add(1) > g.maxWaiting {
		g.waiting.Add(-1)
		g.refused[crowded].Add(1)
		return refusal{ctx, errCrowded}
	}
	bounded, cancel := context.WithTimeout(ctx, g.maxWait)
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
		closeSocket(data.Conn)
	}
}

func (g guardTracer) TraceRelease(_ *pgxpool.Pool, data pgxpool.TraceReleaseData) {
	if !data.Conn.IsClosed() {
		g.repliedAt.Store(time.Now().UnixNano())
	}
	g.mutex.Lock()
	defer g.mutex.Unlock()
	delete(g.connections, data.Conn)
}

// TraceQueryStart is called before each statement.
func (g guardTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	if g.commitsHang.Load() && writes(data.SQL) {
		g.refused[uncommitted].Add(1)
		return refusal{ctx, ErrCommits}
	}
	return ctx
}

func (g guardTracer) TraceQueryEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	tag := data.CommandTag
	wrote := data.Err == nil && tag.RowsAffected() > 0 && (tag.Insert() || tag.Update())
	if wrote && g.fullAt.Load() != 0 {
		g.wroteAt.Store(time.Now().UnixNano())
	}
}

// writes reports whether a statement plainly writes: by its first word, or by any word
// of one that begins with WITH. A SELECT may write too, by a function that it calls.
func writes(sql string) bool {
	words := strings.Fields(strings.ToUpper(strings.ReplaceAll(sql, "(", " ")))
	if len(words) == 0 {
		return false
	}
	if words[0] == "WITH" {
		return slices.ContainsFunc(words, isWrite)
	}
	return isWrite(words[0])
}

func isWrite(word string) bool {
	return slices.Contains([]string{"INSERT", "UPDATE", "DELETE", "MERGE"}, word)
}

// refusal is a context that has already ended, with err as the reason.
type refusal struct {
	context.Context
	err error
}

func (r refusal) Done() <-chan struct{} { return closed }
func (r refusal) Err() error            { return r.err }

var closed = func() <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}()

// acquisition is the context of one wait for a connection. At its own deadline its
// error is errNoneFree.
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
