package shop

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// OrderState is the state of an order.
type OrderState string

// The payment of a placed order is authorized, that of a paid order is captured.
const (
	OrderPlaced OrderState = "placed"
	OrderPaid   OrderState = "paid"
)

// Order is a placed order, with prices and names of that time.
type Order struct {
	ID       int64
	Number   string // for shoppers and operators: "LW-100042"
	Token    string // unguessable, part of the URL of its page
	State    OrderState
	Contact  Contact
	Lines    []OrderLine
	Subtotal Money
	Shipping Money
	Total    Money
	PlacedAt time.Time

	paymentID string
	confirmed bool
}

// OrderLine is one variant of an order.
type OrderLine struct {
	ProductSlug string
	ProductName string
	VariantName string
	SKU         string
	Picture     string
	Quantity    int
	Price       Money
	Total       Money
}

// Order returns the order with this token, or ErrNotFound.
func (s *Shop) Order(ctx context.Context, token string) (Order, error) {
	if !tokenPattern.MatchString(token) {
		return Order{}, ErrNotFound
	}
	return readOrder(ctx, s.db, `o.token = $1`, token)
}

// Private

// tokenPattern matches the result of rand.Text: 26 characters of base32, 130 bits.
var tokenPattern = regexp.MustCompile(`^[A-Z2-7]{26}$`)

func readOrder(ctx context.Context, db querier, where string, arguments ...any) (Order, error) {
	rows, err := db.Query(ctx, `
		SELECT o.id, o.token, o.state, o.email, o.name, o.street, o.postal_code, o.city, o.country, o.note,
		       o.subtotal_cents, o.shipping_cents, o.total_cents, o.currency, o.placed_at, o.payment_id, o.confirmed_at IS NOT NULL,
		       l.product_slug, l.product_name, l.variant_name, l.sku, l.picture, l.quantity, l.price_cents
		FROM orders o
		JOIN order_lines l ON l.order_id = o.id
		WHERE `+where+`
		ORDER BY l.position`, arguments...)
	if err != nil {
		return Order{}, fmt.Errorf("find order: %w", err)
	}
	var order Order
	var currency Currency
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (OrderLine, error) {
		var line OrderLine
		contact := &order.Contact
		err := row.Scan(&order.ID, &order.Token, &order.State,
			&contact.Email, &contact.Name, &contact.Street, &contact.PostalCode, &contact.City, &contact.Country, &contact.Note,
			&order.Subtotal.Cents, &order.Shipping.Cents, &order.Total.Cents, &currency, &order.PlacedAt, &order.paymentID, &order.confirmed,
			&line.ProductSlug, &line.ProductName, &line.VariantName, &line.SKU, &line.Picture, &line.Quantity, &line.Price.Cents)
		line.Price.Currency = currency
		line.Total = line.Price.Times(line.Quantity)
		return line, err
	})
	if err != nil {
		return Order{}, fmt.Errorf("find order: %w", err)
	}
	if len(lines) == 0 {
		return Order{}, ErrNotFound
	}
	order.Lines = lines
	order.Number = fmt.Sprintf("LW-%d", order.ID)
	order.Subtotal.Currency, order.Shipping.Currency, order.Total.Currency = currency, currency, currency
	return order, nil
}

// orderOf is the order that was already made with the key of a purchase. It finds
// only orders of the same cart.
func orderOf(ctx context.Context, db querier, purchase Purchase) (order Order, found bool, err error) {
	if uuid.Validate(purchase.CartID) != nil {
		return Order{}, false, nil
	}
	order, err = readOrder(ctx, db, `o.checkout_key = $1 AND o.cart_id = $2`, purchase.CheckoutKey, purchase.CartID)
	if errors.Is(err, ErrNotFound) {
		return Order{}, false, nil
	}
	return order, err == nil, err
}
