package shop

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/live"
)

// BroadcastStock shows the stock of products on every open page. Transient.
type BroadcastStock struct {
	ProductIDs []int64 `json:"product_ids"`
}

// Declare describes the task.
func (BroadcastStock) Declare() jobs.Declaration { return broadcast("broadcast_stock") }

// BroadcastCart shows the units of a cart on all its open pages. Transient.
type BroadcastCart struct {
	CartID string `json:"cart_id"`
}

// Declare describes the task.
func (BroadcastCart) Declare() jobs.Declaration { return broadcast("broadcast_cart") }

// BroadcastOrder shows how far an order has come on its open page. Transient.
type BroadcastOrder struct {
	OrderID int64 `json:"order_id"`
}

// Declare describes the task.
func (BroadcastOrder) Declare() jobs.Declaration { return broadcast("broadcast_order") }

// BroadcastSale shows how many units of a flash sale are left on every open
// page of its product. Transient.
type BroadcastSale struct {
	SaleID int64 `json:"sale_id"`
}

// Declare describes the task.
func (BroadcastSale) Declare() jobs.Declaration { return broadcast("broadcast_sale") }

// WarmCache fills the cache that all processes share. Transient. For
// config/recurring.yml.
type WarmCache struct{}

// Declare describes the task. The next one comes soon.
func (WarmCache) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "warm_cache", Queue: jobs.Low, Attempts: 1, Timeout: 20 * time.Second}
}

// Fragments render the pieces of pages that change while they are open.
type Fragments interface {
	Stock(ctx context.Context, product Product) (string, error)
	Cart(ctx context.Context, units int) (string, error)
	Order(ctx context.Context, order Order) (string, error)
	Sale(ctx context.Context, sale Sale) (string, error)
}

// StockTopic is what pages follow that show a product's stock.
func StockTopic(productID int64) string { return "product:" + strconv.FormatInt(productID, 10) }

// CartTopic is what the pages of a cart's shopper follow.
func CartTopic(cartID string) string { return "cart:" + cartID }

// OrderTopic is what an order's page follows. Whoever knows the token may.
func OrderTopic(token string) string { return "order:" + token }

// Tasks are all kinds of tasks with what they do.
func (s *Shop) Tasks(fragments Fragments, publisher *live.Publisher) jobs.Handlers {
	b := broadcaster{shop: s, fragments: fragments, publisher: publisher}
	return jobs.Handlers{
		jobs.Handle(func(ctx context.Context, task BroadcastStock) error { return b.stock(ctx, task.ProductIDs) }),
		jobs.Handle(func(ctx context.Context, task BroadcastCart) error { return b.cart(ctx, task.CartID) }),
		jobs.Handle(func(ctx context.Context, task BroadcastOrder) error { return b.order(ctx, task.OrderID) }),
		jobs.Handle(func(ctx context.Context, task BroadcastSale) error { return b.sale(ctx, task.SaleID) }),
		jobs.Handle(func(ctx context.Context, _ WarmCache) error { return s.WarmCache(ctx) }),
	}
}

// Private

// broadcast declares a task that shows open pages what is now: after a few
// attempts that is out of date.
func broadcast(kind string) jobs.Declaration {
	return jobs.Declaration{Kind: kind, Queue: jobs.Critical, Attempts: 4, Backoff: jobs.Quick, Timeout: 10 * time.Second}
}

type broadcaster struct {
	shop      *Shop
	fragments Fragments
	publisher *live.Publisher
}

func (b broadcaster) stock(ctx context.Context, productIDs []int64) error {
	for _, id := range productIDs {
		err := b.inTurn(ctx, StockTopic(id), func(tx pgx.Tx) (string, error) {
			product, err := readProduct(ctx, tx, `p.id = $1`, id)
			if err != nil {
				return "", err
			}
			return b.fragments.Stock(ctx, product)
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

func (b broadcaster) cart(ctx context.Context, cartID string) error {
	return b.inTurn(ctx, CartTopic(cartID), func(tx pgx.Tx) (string, error) {
		units, err := countUnits(ctx, tx, cartID)
		if err != nil {
			return "", err
		}
		return b.fragments.Cart(ctx, units)
	})
}

func (b broadcaster) order(ctx context.Context, orderID int64) error {
	order, err := readOrder(ctx, b.shop.db, `o.id = $1`, orderID)
	if err != nil {
		return err
	}
	return b.inTurn(ctx, OrderTopic(order.Token), func(tx pgx.Tx) (string, error) {
		order, err := readOrder(ctx, tx, `o.id = $1`, orderID)
		if err != nil {
			return "", err
		}
		return b.fragments.Order(ctx, order)
	})
}

// sale goes to all who follow the product.
func (b broadcaster) sale(ctx context.Context, saleID int64) error {
	sale, err := readSale(ctx, b.shop.db, saleID)
	if err != nil {
		return err
	}
	return b.inTurn(ctx, StockTopic(sale.Product.ID), func(tx pgx.Tx) (string, error) {
		sale, err := readSale(ctx, tx, saleID)
		if err != nil {
			return "", err
		}
		return b.fragments.Sale(ctx, sale)
	})
}

// inTurn draws and publishes one topic at a time, over all workers: of two
// broadcasts at once, the one that saw the older state must not come last.
func (b broadcaster) inTurn(ctx context.Context, topic string, draw func(tx pgx.Tx) (string, error)) error {
	return pgx.BeginFunc(ctx, b.shop.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, topic); err != nil {
			return fmt.Errorf("wait for other broadcasts of %s: %w", topic, err)
		}
		html, err := draw(tx)
		if err != nil {
			return fmt.Errorf("draw fragment of %s: %w", topic, err)
		}
		if !b.publisher.Publish(ctx, live.Fragment{Topics: []string{topic}, HTML: html}) {
			return fmt.Errorf("publish fragment of %s: Redis did not take it", topic)
		}
		return nil
	})
}
