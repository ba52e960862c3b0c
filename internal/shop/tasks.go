package shop

import (
	"context"
	"time"

	"slipway/internal/jobs"
)

// BroadcastStock shows the stock of products on every open page. Transient.
type BroadcastStock struct {
	ProductIDs []int64 `json:"product_ids"`
}

// Declare describes the task.
func (BroadcastStock) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_stock") }

// BroadcastCart shows the units of a cart on all its open pages. Transient.
type BroadcastCart struct {
	CartID string `json:"cart_id"`
}

// Declare describes the task.
func (BroadcastCart) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_cart") }

// BroadcastOrder shows how far an order has come on its open page. Transient.
type BroadcastOrder struct {
	OrderID int64 `json:"order_id"`
}

// Declare describes the task.
func (BroadcastOrder) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_order") }

// BroadcastSale shows how many units of a flash sale are left on every open
// page of its product. Transient.
type BroadcastSale struct {
	SaleID int64 `json:"sale_id"`
}

// Declare describes the task.
func (BroadcastSale) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_sale") }

// WarmCache fills the cache that all processes share. Transient. For
// config/recurring.yml.
type WarmCache struct{}

// Declare describes the task. The next one comes soon.
func (WarmCache) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "warm_cache", Queue: jobs.Low, Attempts: 1, Timeout: 20 * time.Second}
}

// Tasks are all kinds of tasks with what they do.
func (s *Shop) Tasks() jobs.Handlers {
	return jobs.Handlers{
		jobs.Handle(func(ctx context.Context, task BroadcastStock) error { return s.broadcastStock(ctx, task.ProductIDs) }),
		jobs.Handle(func(ctx context.Context, task BroadcastCart) error { return s.broadcastCart(ctx, task.CartID) }),
		jobs.Handle(func(ctx context.Context, task BroadcastOrder) error { return s.broadcastOrder(ctx, task.OrderID) }),
		jobs.Handle(func(ctx context.Context, task BroadcastSale) error { return s.broadcastSale(ctx, task.SaleID) }),
		jobs.Handle(func(ctx context.Context, _ WarmCache) error { return s.WarmCache(ctx) }),
	}
}

// Private

// broadcastDeclaration declares a task that shows open pages what is now: after a few
// attempts that is out of date.
func broadcastDeclaration(kind string) jobs.Declaration {
	return jobs.Declaration{Kind: kind, Queue: jobs.Critical, Attempts: 4, Backoff: jobs.Quick, Timeout: 10 * time.Second}
}
