package failopen

import (
	"context"
	"math"
	"sync/atomic"
	"time"
)

// WithBudget bounds the time that all calls of Redis with the returned context
// may take together: a request that makes ten calls waits no longer than a
// request that makes two.
func WithBudget(ctx context.Context, budget time.Duration) context.Context {
	remaining := &requestBudget{total: budget}
	remaining.nanoseconds.Store(int64(budget))
	return context.WithValue(ctx, budgetKey{}, remaining)
}

// WithoutBudget ends the bound of WithBudget, for work in bulk that a request asks
// for. Each call still has its timeout.
func WithoutBudget(ctx context.Context) context.Context {
	return context.WithValue(ctx, budgetKey{}, (*requestBudget)(nil))
}

// Private

type budgetKey struct{}

// requestBudget is nil when there is no limit, as in workers.
type requestBudget struct {
	total       time.Duration
	nanoseconds atomic.Int64 // left of total
}

func budgetOf(ctx context.Context) *requestBudget {
	budget, _ := ctx.Value(budgetKey{}).(*requestBudget)
	return budget
}

func (b *requestBudget) whole() time.Duration {
	if b == nil {
		return math.MaxInt64
	}
	return b.total
}

func (b *requestBudget) left() time.Duration {
	if b == nil {
		return math.MaxInt64
	}
	return time.Duration(b.nanoseconds.Load())
}

func (b *requestBudget) spend(d time.Duration) {
	if b != nil {
		b.nanoseconds.Add(-int64(d))
	}
}
