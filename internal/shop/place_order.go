package shop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"slipway/internal/payment"
)

// Purchase is the decision of a shopper to buy a cart as it was reviewed.
type Purchase struct {
	CartID      string
	CheckoutKey string // UUID, the idempotency key: one key never makes two orders
	Reviewed    string // the Review that the shopper saw; empty accepts any cart
	Card        string
}

// Review is a hash of what a shopper agrees to: lines, prices and address. It
// changes with each of them.
func Review(cart Cart, contact Contact) string {
	sum := sha256.New()
	for _, line := range cart.Lines {
		fmt.Fprintf(sum, "%d x %d at %d %s\n", line.Quantity, line.Variant.ID, line.Price().Cents, line.Price().Currency)
	}
	fmt.Fprintf(sum, "total %d\n{%q %q %q %q %q %q %q}\n", cart.Total.Cents,
		contact.Email, contact.Name, contact.Street, contact.PostalCode, contact.City, contact.Country, contact.Note)
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// Reasons for which an order is not placed, besides ShortError, ContactProblems,
// TooManyOrdersError and the errors of package payment.
var (
	ErrCartEmpty   = errors.New("the cart is empty")
	ErrCartChanged = errors.New("the cart or the address has changed since the review")
	ErrCheckoutKey = errors.New("the checkout key cannot be used")
)

// PlaceOrder authorizes the payment and then, in one transaction, takes the
// stock, stores the order and enqueues its jobs. A second call with the key of an
// order returns that order.
func (s *Shop) PlaceOrder(ctx context.Context, purchase Purchase) (Order, error) {
	order, err := s.placeOrder(ctx, purchase)
	if errors.Is(err, payment.ErrUnconfirmed) {
		s.log.WarnContext(ctx, "Payment gateway did not reply", "error", err)
	}
	if err != nil {
		s.metrics.refused.WithLabelValues(refusal(err)).Inc()
		return Order{}, fmt.Errorf("place order: %w", err)
	}
	return order, nil
}

// Private

func (s *Shop) placeOrder(ctx context.Context, purchase Purchase) (Order, error) {
	if !isUUID(purchase.CheckoutKey) {
		return Order{}, ErrCheckoutKey
	}
	cart, err := s.cartToBuy(ctx, purchase.CartID)
	if err != nil {
		return Order{}, err
	}
	// Read after the cart: a form that is sent twice finds its order or the full
	// cart, and never an empty cart without an order.
	if order, found, err := orderOf(ctx, s.db, purchase); found || err != nil {
		return order, err
	}
	if len(cart.Lines) == 0 {
		return Order{}, ErrCartEmpty
	}
	contact, err := s.Contact(ctx, purchase.CartID)
	if err != nil {
		return Order{}, err
	}
	if problems := contact.Problems(); problems != nil {
		return Order{}, problems
	}

	review := Review(cart, contact)
	if purchase.Reviewed != "" && purchase.Reviewed != review {
		if cart, err = s.renewedCart(ctx, cart); err != nil {
			return Order{}, err
		}
		if review = Review(cart, contact); purchase.Reviewed != review {
			return Order{}, ErrCartChanged
		}
	}
	if err := s.orderLimit.check(ctx, s.db, purchase.CartID, contact.Email); err != nil {
		return Order{}, err
	}

	authorization, err := s.gateway.Authorize(ctx, payment.Request{
		Key:      purchase.CheckoutKey + ":" + review,
		Cents:    cart.Total.Cents,
		Currency: string(cart.Total.Currency),
		Card:     purchase.Card,
	})
	if err != nil {
		return Order{}, err
	}
	order, fresh, err := s.commitOrder(ctx, purchase, review, authorization)
	if errors.Is(err, ErrCartChanged) || errors.Is(err, ErrSoldOut) || errors.Is(err, ErrTooManyOrders) {
		s.giveBack(ctx, purchase, authorization)
	}
	if err != nil {
		return Order{}, err
	}
	if fresh {
		s.metrics.orders.Inc()
		s.log.InfoContext(ctx, "Order placed", "order", order.Number, "units", cart.Units(), "total", order.Total.String())
		s.announce(ctx, cart)
	}
	return order, nil
}

// cartToBuy is the cart as it is bought. Unlike Cart it does not end expired
// holds: until lapse does, they can still be bought.
func (s *Shop) cartToBuy(ctx context.Context, id string) (Cart, error) {
	if id == "" {
		return Cart{}.priced(), nil
	}
	return readCart(ctx, s.db, id)
}

// renewedCart renews the lapsed holds of a cart, while the sale has units left: the
// shopper saw the units at the price of the sale and is about to pay.
func (s *Shop) renewedCart(ctx context.Context, cart Cart) (Cart, error) {
	if !slices.ContainsFunc(cart.Lines, func(line CartLine) bool { return line.Lapsed != nil }) {
		return cart, nil
	}
	renewed, err := s.renewHolds(ctx, cart.ID)
	if err != nil || !renewed {
		return cart, err
	}
	return readCart(ctx, s.db, cart.ID)
}

// commitOrder is the transaction of PlaceOrder. It locks the cart and checks again
// everything that was authorized. Fresh is false when another request with the
// same key has already made the order.
func (s *Shop) commitOrder(
	ctx context.Context, purchase Purchase, authorized string, authorization payment.Authorization,
) (order Order, fresh bool, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := lockCart(ctx, tx, purchase.CartID); err != nil {
			return err
		}
		var found bool
		if order, found, err = orderOf(ctx, tx, purchase); found || err != nil {
			return err
		}
		if err := refuseVoided(ctx, tx, authorization); err != nil {
			return err
		}
		cart, err := readCart(ctx, tx, purchase.CartID)
		if err != nil {
			return err
		}
		contact, err := readContact(ctx, tx, purchase.CartID)
		if err != nil {
			return err
		}
		if Review(cart, contact) != authorized {
			return ErrCartChanged
		}
		if err := s.orderLimit.take(ctx, tx, purchase.CartID, contact.Email); err != nil {
			return err
		}
		if err := sellHolds(ctx, tx, cart); err != nil {
			return err
		}
		if err := takeStock(ctx, tx, cart); err != nil {
			return err
		}
		orderID, err := insertOrder(ctx, tx, purchase, cart, contact, authorization)
		if err != nil {
			return err
		}
		if err := emptyCart(ctx, tx, purchase.CartID); err != nil {
			return err
		}
		if err := s.jobs.Enqueue(ctx, tx, SendOrderConfirmation{OrderID: orderID}); err != nil {
			return err
		}
		if err := s.jobs.Enqueue(ctx, tx, CapturePayment{OrderID: orderID}); err != nil {
			return err
		}
		fresh = true
		order, err = readOrder(ctx, tx, `o.id = $1`, orderID)
		return err
	})
	return order, fresh, err
}

// takeStock takes the units of all lines that are not held by a sale. It updates
// variants in the order of their ids, so that two orders cannot deadlock.
func takeStock(ctx context.Context, tx pgx.Tx, cart Cart) error {
	lines := slices.SortedFunc(slices.Values(cart.Lines), func(a, b CartLine) int { return int(a.Variant.ID - b.Variant.ID) })
	for _, line := range lines {
		if line.Hold != nil {
			continue
		}
		taken, err := tx.Exec(ctx, `
			UPDATE variants
			SET stock = stock - $2
			WHERE id = $1 AND stock >= $2`, line.Variant.ID, line.Quantity)
		if err != nil {
			return fmt.Errorf("take stock of %s: %w", line.Variant.SKU, err)
		}
		if taken.RowsAffected() == 1 {
			continue
		}
		short := &ShortError{VariantID: line.Variant.ID, Name: line.Name()}
		if err := tx.QueryRow(ctx, `SELECT stock FROM variants WHERE id = $1`, line.Variant.ID).Scan(&short.Left); err != nil {
			return fmt.Errorf("count stock of %s: %w", line.Variant.SKU, err)
		}
		return short
	}
	return nil
}

func insertOrder(
	ctx context.Context, tx pgx.Tx, purchase Purchase, cart Cart, contact Contact, authorization payment.Authorization,
) (int64, error) {
	var orderID int64
	err := tx.QueryRow(ctx, `
		INSERT INTO orders (token, cart_id, checkout_key, email, name, street, postal_code, city, country, note,
		                    subtotal_cents, shipping_cents, total_cents, currency, payment_id)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		RETURNING id`,
		rand.Text(), purchase.CartID, purchase.CheckoutKey,
		contact.Email, contact.Name, contact.Street, contact.PostalCode, contact.City, contact.Country, contact.Note,
		cart.Subtotal.Cents, cart.Shipping.Cents, cart.Total.Cents, cart.Total.Currency, authorization.ID,
	).Scan(&orderID)
	var problem *pgconn.PgError
	if errors.As(err, &problem) && problem.ConstraintName == "orders_checkout_key_key" {
		return 0, ErrCheckoutKey // the key belongs to an order of another cart
	}
	if err != nil {
		return 0, fmt.Errorf("insert order: %w", err)
	}
	batch := &pgx.Batch{}
	for i, line := range cart.Lines {
		batch.Queue(`
			INSERT INTO order_lines (order_id, position, variant_id, product_slug, product_name, variant_name, sku, picture, quantity, price_cents)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			orderID, i, line.Variant.ID, line.Product.Slug, line.Product.Name, line.Variant.Name, line.Variant.SKU,
			line.Product.Picture, line.Quantity, line.Price().Cents)
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return 0, fmt.Errorf("insert order lines: %w", err)
	}
	return orderID, nil
}

// announce enqueues the updates of open pages after an order. ShowSales does that
// for flash sales.
func (s *Shop) announce(ctx context.Context, sold Cart) {
	products := make([]int64, 0, len(sold.Lines))
	for _, line := range sold.Lines {
		if line.Hold == nil && !slices.Contains(products, line.Product.ID) {
			products = append(products, line.Product.ID)
		}
	}
	if len(products) > 0 {
		s.tasks.Enqueue(ctx, BroadcastStock{ProductIDs: products})
	}
	s.tasks.Enqueue(ctx, BroadcastCart{CartID: sold.ID})
}

// refusal is the reason label of an error in shop_orders_refused_total.
func refusal(err error) string {
	var problems ContactProblems
	switch {
	case errors.Is(err, ErrSoldOut):
		return "sold_out"
	case errors.Is(err, ErrCartEmpty), errors.Is(err, ErrCartChanged):
		return "cart"
	case errors.Is(err, ErrTooManyOrders):
		return "limit"
	case errors.Is(err, payment.ErrDeclined), errors.Is(err, payment.ErrCard):
		return "declined"
	case errors.Is(err, payment.ErrUnconfirmed):
		return "gateway"
	case errors.As(err, &problems), errors.Is(err, ErrCheckoutKey):
		return "form"
	default:
		return "error"
	}
}
