package shop

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/live"
)

// Fragments renders the parts of pages that change while they are open.
type Fragments interface {
	Stock(ctx context.Context, product Product) (string, error)
	Cart(ctx context.Context, units int) (string, error)
	Order(ctx context.Context, order Order) (string, error)
	Sale(ctx context.Context, sale Sale) (string, error)
}

// StockTopic is the topic of all pages that show the stock of a product.
func StockTopic(productID int64) string { return "product:" + strconv.FormatInt(productID, 10) }

// CartTopic is the topic of all pages of the shopper of a cart.
func CartTopic(cartID string) string { return "cart:" + cartID }

// OrderTopic is the topic of the page of an order. The token is the permission
// to see the order.
func OrderTopic(token string) string { return "order:" + token }

// Private

// enqueueBroadcast enqueues the update of open pages. A command without tasks
// skips it.
func (s *Shop) enqueueBroadcast(ctx context.Context, task jobs.Args) {
	if s.tasks != nil {
		s.tasks.Enqueue(ctx, task)
	}
}

func (s *Shop) broadcastStock(ctx context.Context, productIDs []int64) error {
	for _, id := range productIDs {
		err := s.publishInTurn(ctx, StockTopic(id), func(tx pgx.Tx) (string, error) {
			product, err := productStatement(`p.id = $1`, id).read(ctx, tx)
			if err != nil {
				return "", err
			}
			return s.fragments.Stock(ctx, product)
		})
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

func (s *Shop) broadcastCart(ctx context.Context, cartID string) error {
	return s.publishInTurn(ctx, CartTopic(cartID), func(tx pgx.Tx) (string, error) {
		units, err := unitsStatement(cartID).read(ctx, tx)
		if err != nil {
			return "", err
		}
		return s.fragments.Cart(ctx, units)
	})
}

func (s *Shop) broadcastOrder(ctx context.Context, orderID int64) error {
	order, err := readOrder(ctx, s.db, `o.id = $1`, orderID)
	if err != nil {
		return err
	}
	return s.publishInTurn(ctx, OrderTopic(order.Token), func(tx pgx.Tx) (string, error) {
		order, err := readOrder(ctx, tx, `o.id = $1`, orderID)
		if err != nil {
			return "", err
		}
		return s.fragments.Order(ctx, order)
	})
}

// broadcastSale publishes to all pages that show the product of the sale.
func (s *Shop) broadcastSale(ctx context.Context, saleID int64) error {
	sale, err := readSale(ctx, s.db, saleID)
	if err != nil {
		return err
	}
	return s.publishInTurn(ctx, StockTopic(sale.Product.ID), func(tx pgx.Tx) (string, error) {
		sale, err := readSale(ctx, tx, saleID)
		if err != nil {
			return "", err
		}
		return s.fragments.Sale(ctx, sale)
	})
}

// publishInTurn renders and publishes a fragment. Workers take turns for each
// topic: otherwise the fragment with the older state could be published last.
func (s *Shop) publishInTurn(ctx context.Context, topic string, render func(tx pgx.Tx) (string, error)) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, topic); err != nil {
			return fmt.Errorf("wait for other broadcasts of %s: %w", topic, err)
		}
		html, err := render(tx)
		if err != nil {
			return fmt.Errorf("render fragment of %s: %w", topic, err)
		}
		if !s.publisher.Publish(ctx, live.Fragment{Topics: []string{topic}, HTML: html}) {
			return fmt.Errorf("publish fragment of %s: Redis did not take it", topic)
		}
		return nil
	})
}
