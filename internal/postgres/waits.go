package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Waits measures how long the callers of a pool wait for a connection. It is for a
// pool without a guard, whose callers wait until their context ends.
type Waits struct {
	patience time.Duration
	reserve  int

	mutex   sync.Mutex
	waiting map[*wait]struct{}
	longest time.Duration // of the waits that ended since the last call of CheckPool
}

// NewWaits returns a measure of waits that are too long from patience on. Pass it to
// Open.
func NewWaits(patience time.Duration) *Waits {
	return &Waits{patience: patience, waiting: map[*wait]struct{}{}}
}

// CheckPool returns an error when callers wait for too long, now or at any time since
// the last call, because others use the connections. It is for one caller at a time.
func (w *Waits) CheckPool(pool *pgxpool.Pool) error {
	stat := pool.Stat()
	waiting, longest := w.read(int(stat.AcquiredConns()) >= int(stat.MaxConns())-w.reserve)
	if longest < w.patience {
		return nil
	}
	return fmt.Errorf("work waits up to %s for a connection: %d wait now, and %d of %d are in use",
		longest.Round(100*time.Millisecond), waiting, stat.AcquiredConns(), stat.MaxConns())
}

// TraceAcquireStart begins a wait.
func (w *Waits) TraceAcquireStart(ctx context.Context, _ *pgxpool.Pool, _ pgxpool.TraceAcquireStartData) context.Context {
	began := &wait{time.Now()}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.waiting[began] = struct{}{}
	return context.WithValue(ctx, waitKey{}, began)
}

// TraceAcquireEnd ends a wait. One that got no connection does not count: the
// database may be unavailable.
func (w *Waits) TraceAcquireEnd(ctx context.Context, _ *pgxpool.Pool, data pgxpool.TraceAcquireEndData) {
	began, _ := ctx.Value(waitKey{}).(*wait)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if _, waited := w.waiting[began]; waited && data.Err == nil {
		w.longest = max(w.longest, time.Since(began.since))
	}
	delete(w.waiting, began)
}

// TraceQueryStart and TraceQueryEnd do nothing: pgx wants them of every tracer.
func (w *Waits) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

// TraceQueryEnd does nothing.
func (w *Waits) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Private

type wait struct{ since time.Time }

// waitKey is the context key of a wait.
type waitKey struct{}

// install makes w part of a pool's configuration, before the pool opens. A wait
// includes that for a turn behind the reserve.
func (w *Waits) install(config *pgxpool.Config, reserve int) {
	w.reserve = reserve
	if config.ConnConfig.Tracer == nil {
		config.ConnConfig.Tracer = w
		return
	}
	config.ConnConfig.Tracer = multitracer.New(w, config.ConnConfig.Tracer)
}

// read returns how many callers wait and the longest wait. Those that wait now count
// when the pool is busy: else they wait for the database.
func (w *Waits) read(busy bool) (waiting int, longest time.Duration) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	longest, w.longest = w.longest, 0
	if !busy {
		return 0, longest
	}
	for began := range w.waiting {
		longest = max(longest, time.Since(began.since))
	}
	return len(w.waiting), longest
}
