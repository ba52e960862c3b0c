package shop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Cart is what a shopper wants to buy, at current prices and stock. The zero Cart
// is empty and not stored.
type Cart struct {
	ID       string // UUID; empty when not stored yet
	Lines    []CartLine
	Subtotal Money
	Shipping Money
	Total    Money
}

// CartLine is one variant in a cart.
type CartLine struct {
	Variant  Variant
	Product  Card
	Quantity int
	Total    Money
	Hold     *Hold  // the held unit of a sale, at the price of the sale; nil for an ordinary line
	Lapsed   *Money // price of the sale whose hold has expired; nil if there was none
	price    Money
}

// MaxQuantity is the largest number of units of one variant in a cart.
const MaxQuantity = 20

// CartLifetime is how long an unchanged cart is stored.
const CartLifetime = 30 * 24 * time.Hour

// Shipping is the price of a parcel. It is free from a subtotal of
// FreeShippingFrom on.
var (
	Shipping         = Euros(490)
	FreeShippingFrom = Euros(6000)
)

// Reasons for which units cannot be put into a cart.
var (
	ErrQuantity = fmt.Errorf("the quantity must be between 1 and %d", MaxQuantity)
	ErrSoldOut  = errors.New("sold out")
)

// ShortError says that fewer units are left than requested. It is an ErrSoldOut.
type ShortError struct {
	VariantID int64
	Name      string // of product and variant
	Left      int
}

func (e *ShortError) Error() string {
	if e.Left == 0 {
		return e.Name + " is sold out"
	}
	return fmt.Sprintf("only %d of %s left", e.Left, e.Name)
}

// Is makes every ShortError an ErrSoldOut.
func (e *ShortError) Is(target error) bool { return target == ErrSoldOut }

// Units is the number of units of all lines, as the badge of the cart shows it.
func (c Cart) Units() int {
	units := 0
	for _, line := range c.Lines {
		units += line.Quantity
	}
	return units
}

// MissingForFreeShipping is the amount by which the subtotal is too low for free
// shipping, or zero.
func (c Cart) MissingForFreeShipping() Money {
	return Euros(max(0, FreeShippingFrom.Cents-c.Subtotal.Cents))
}

// Price is the price of one unit: the price of the sale for a held unit, else the
// price of the variant.
func (l CartLine) Price() Money {
	if l.Hold != nil {
		return l.price
	}
	return l.Variant.Price
}

// Short reports that fewer units are left than the line needs.
func (l CartLine) Short() bool { return l.Hold == nil && l.Variant.Stock < l.Quantity }

// Name is the name of the product with that of the variant.
func (l CartLine) Name() string {
	if l.Variant.Name == "" {
		return l.Product.Name
	}
	return l.Product.Name + " (" + l.Variant.Name + ")"
}

// Cart returns a cart. An unknown cart, or one older than CartLifetime, is empty.
// Expired holds are ended first: their units have the ordinary price.
func (s *Shop) Cart(ctx context.Context, id string) (Cart, error) {
	if id == "" {
		return Cart{}.priced(), nil
	}
	cart, err := readCart(ctx, s.db, id)
	if err != nil || !cart.expired(time.Now()) {
		return cart, err
	}
	if err := s.lapse(ctx, id, "0 seconds"); err != nil {
		return Cart{}, err
	}
	return readCart(ctx, s.db, id)
}

// CartUnits reads the number of units in a cart.
func (r *Reads) CartUnits(id string) *int {
	if id == "" {
		return new(int)
	}
	return read(r, unitsStatement(id))
}

// AddToCart adds units of a variant to a cart and returns the id of the cart: a
// new one when id is empty. The error is ErrQuantity, ErrNotFound or a ShortError
// when the units are not available.
func (s *Shop) AddToCart(ctx context.Context, id string, variantID int64, quantity int) (string, error) {
	if quantity < 1 || quantity > MaxQuantity {
		return id, ErrQuantity
	}
	if id == "" {
		id = uuid.NewString()
	}
	return id, s.changeCart(ctx, id, func(tx pgx.Tx) error {
		if err := forgetLapsed(ctx, tx, id, variantID); err != nil {
			return err
		}
		wanted, err := unitsInCart(ctx, tx, id, variantID)
		if err != nil {
			return err
		}
		return setLine(ctx, tx, id, variantID, wanted+quantity)
	})
}

// SetQuantity sets the number of units of a variant in a cart; 0 removes the line.
func (s *Shop) SetQuantity(ctx context.Context, id string, variantID int64, quantity int) error {
	if quantity < 0 || quantity > MaxQuantity {
		return ErrQuantity
	}
	if id == "" {
		return ErrNotFound
	}
	return s.changeCart(ctx, id, func(tx pgx.Tx) error {
		if err := forgetLapsed(ctx, tx, id, variantID); err != nil {
			return err
		}
		if quantity > 0 {
			return setLine(ctx, tx, id, variantID, quantity)
		}
		if _, err := tx.Exec(ctx, `DELETE FROM cart_lines WHERE cart_id = $1 AND variant_id = $2`, id, variantID); err != nil {
			return fmt.Errorf("remove from cart: %w", err)
		}
		return nil
	})
}

// ForgetOldCarts deletes carts that were unchanged for CartLifetime, and the
// addresses of old reminders.
func (s *Shop) ForgetOldCarts(ctx context.Context) error {
	forgotten, err := s.db.Exec(ctx, `DELETE FROM carts WHERE updated_at < now() - $1::interval`, CartLifetime)
	if err != nil {
		return fmt.Errorf("delete old carts: %w", err)
	}
	s.log.InfoContext(ctx, "Old carts deleted", "carts", forgotten.RowsAffected())
	return s.forgetOldRecipients(ctx)
}

// Private

// held are the lines with a hold, in the order of the ids of their sales.
func (c Cart) held() []CartLine {
	lines := slices.DeleteFunc(slices.Clone(c.Lines), func(line CartLine) bool { return line.Hold == nil })
	slices.SortStableFunc(lines, func(a, b CartLine) int { return cmp.Compare(a.Hold.SaleID, b.Hold.SaleID) })
	return lines
}

// expired reports whether any hold has expired.
func (c Cart) expired(now time.Time) bool {
	return slices.ContainsFunc(c.Lines, func(line CartLine) bool { return line.Hold != nil && !now.Before(line.Hold.ExpiresAt) })
}

// priced fills in subtotal, shipping and total.
func (c Cart) priced() Cart {
	c.Subtotal, c.Shipping = Euros(0), Euros(0)
	for _, line := range c.Lines {
		c.Subtotal = c.Subtotal.Plus(line.Total)
	}
	if len(c.Lines) > 0 && c.Subtotal.Cents < FreeShippingFrom.Cents {
		c.Shipping = Shipping
	}
	c.Total = c.Subtotal.Plus(c.Shipping)
	return c
}
