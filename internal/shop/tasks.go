package shop

import (
	"context"
	"time"

	"slipway/internal/jobs"
)

// BroadcastStock updates the stock of products on all open pages. It is a
// transient task.
type BroadcastStock struct {
	ProductIDs []int64 `json:"product_ids"`
}

// Declare describes the task.
func (BroadcastStock) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_stock") }

// BroadcastCart updates the number of units of a cart on its open pages. It is a
// transient task.
type BroadcastCart struct {
	CartID string `json:"cart_id"`
}

// Declare describes the task.
func (BroadcastCart) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_cart") }

// Check reports args that name no cart.
func (t BroadcastCart) Check() error { return checkCartID(t.CartID) }

// BroadcastOrder updates the state of an order on its open page. It is a
// transient task.
type BroadcastOrder struct {
	OrderID int64 `json:"order_id"`
}

// Declare describes the task.
func (BroadcastOrder) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_order") }

// Check reports args that name no order.
func (t BroadcastOrder) Check() error { return checkID("order_id", t.OrderID) }

// BroadcastSale updates the number of units left of a flash sale on the open
// pages that show its product. It is a transient task.
type BroadcastSale struct {
	SaleID int64 `json:"sale_id"`
}

// Declare describes the task.
func (BroadcastSale) Declare() jobs.Declaration { return broadcastDeclaration("broadcast_sale") }

// Check reports args that name no sale.
func (t BroadcastSale) Check() error { return checkID("sale_id", t.SaleID) }

// WarmCache fills the shared cache. It is a transient task and runs from
// config/recurring.yml.
type WarmCache struct{}

// Declare describes the task. It gets one attempt, because the next run comes soon.
func (WarmCache) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "warm_cache", Queue: jobs.Low, Attempts: 1, Timeout: 20 * time.Second}
}

// Tasks are the handlers of all kinds of tasks, one line each. To run them, the
// store needs Fragments and Publisher.
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

// broadcastDeclaration declares a task that updates open pages. It gets few
// attempts, because its content is soon out of date.
func broadcastDeclaration(kind string) jobs.Declaration {
	return jobs.Declaration{Kind: kind, Queue: jobs.Critical, Attempts: 4, Backoff: jobs.Quick, Timeout: 10 * time.Second, GiveUpOn: hopeless}
}
