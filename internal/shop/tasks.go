package shop

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/hibiken/asynq"

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

// Fragments render the pieces of pages that change while they are open.
type Fragments interface {
	Stock(ctx context.Context, product Product) (string, error)
	Cart(ctx context.Context, units int) (string, error)
}

// StockTopic is what pages follow that show a product's stock.
func StockTopic(productID int64) string { return "product:" + strconv.FormatInt(productID, 10) }

// CartTopic is what the pages of a cart's shopper follow.
func CartTopic(cartID string) string { return "cart:" + cartID }

// Tasks are all kinds of tasks with what they do.
func (s *Shop) Tasks(fragments Fragments, publisher *live.Publisher) *asynq.ServeMux {
	handlers := asynq.NewServeMux()
	b := broadcaster{shop: s, fragments: fragments, publisher: publisher}
	jobs.Handle(handlers, func(ctx context.Context, task BroadcastStock) error { return b.stock(ctx, task.ProductIDs) })
	jobs.Handle(handlers, func(ctx context.Context, task BroadcastCart) error { return b.cart(ctx, task.CartID) })
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
		product, err := b.shop.product(ctx, `p.id = $1`, id)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		html, err := b.fragments.Stock(ctx, product)
		if err := b.publish(ctx, StockTopic(id), html, err); err != nil {
			return err
		}
	}
	return nil
}

func (b broadcaster) cart(ctx context.Context, cartID string) error {
	units, err := b.shop.CartUnits(ctx, cartID)
	if err != nil {
		return err
	}
	html, err := b.fragments.Cart(ctx, units)
	return b.publish(ctx, CartTopic(cartID), html, err)
}

func (b broadcaster) publish(ctx context.Context, topic, html string, renderError error) error {
	if renderError != nil {
		return fmt.Errorf("render fragment of %s: %w", topic, renderError)
	}
	if !b.publisher.Publish(ctx, live.Fragment{Topics: []string{topic}, HTML: html}) {
		return fmt.Errorf("publish fragment of %s: Redis did not take it", topic)
	}
	return nil
}
