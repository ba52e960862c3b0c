package shop

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/live"
)

// BroadcastStock shows the stock of products on every open page. Transient.
type BroadcastStock struct {
	ProductIDs []int64 `json:"product_ids"`
}

// Kind names the task in Redis.
func (BroadcastStock) Kind() string { return "broadcast_stock" }

// BroadcastCart shows the units of a cart on all its open pages. Transient.
type BroadcastCart struct {
	CartID string `json:"cart_id"`
}

// Kind names the task in Redis.
func (BroadcastCart) Kind() string { return "broadcast_cart" }

// BroadcastOrder shows how far an order has come on its open page. Transient.
type BroadcastOrder struct {
	OrderID int64 `json:"order_id"`
}

// Kind names the task in Redis.
func (BroadcastOrder) Kind() string { return "broadcast_order" }

// Fragments render the pieces of pages that change while they are open.
type Fragments interface {
	Stock(ctx context.Context, product Product) (string, error)
	Cart(ctx context.Context, units int) (string, error)
	Order(ctx context.Context, order Order) (string, error)
}

// StockTopic is what pages follow that show a product's stock.
func StockTopic(productID int64) string { return "product:" + strconv.FormatInt(productID, 10) }

// CartTopic is what the pages of a cart's shopper follow.
func CartTopic(cartID string) string { return "cart:" + cartID }

// OrderTopic is what an order's page follows. Whoever knows the token may.
func OrderTopic(token string) string { return "order:" + token }

// Tasks are all kinds of tasks with what they do.
func (s *Shop) Tasks(fragments Fragments, publisher *live.Publisher) *asynq.ServeMux {
	handlers := asynq.NewServeMux()
	b := broadcaster{shop: s, fragments: fragments, publisher: publisher}
	jobs.Handle(handlers, func(ctx context.Context, task BroadcastStock) error { return b.stock(ctx, task.ProductIDs) })
	jobs.Handle(handlers, func(ctx context.Context, task BroadcastCart) error { return b.cart(ctx, task.CartID) })
	jobs.Handle(handlers, func(ctx context.Context, task BroadcastOrder) error { return b.order(ctx, task.OrderID) })
	return handlers
}

// Private

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
