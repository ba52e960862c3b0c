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

// Cart is what a shopper means to buy, at today's prices and stock. The zero
// Cart is empty and not stored.
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
	Hold     *Hold  // of a unit of a sale, at whose price the line is; nil for others
	Lapsed   *Money // price of a sale whose hold has run out; nil where none has
	price    Money
}

// MaxQuantity is the most units of one variant that a cart holds.
const MaxQuantity = 20

// CartKept is how long a cart is kept that nobody touches.
const CartKept = 30 * 24 * time.Hour

// Parcels cost Shipping, and nothing from FreeShippingFrom on.
var (
	Shipping         = Euros(490)
	FreeShippingFrom = Euros(6000)
)

// What can be wrong with a wish.
var (
	ErrQuantity = fmt.Errorf("the quantity must be between 1 and %d", MaxQuantity)
	ErrSoldOut  = errors.New("sold out")
)

// ShortError tells that fewer units are left than were asked for. It is
// ErrSoldOut.
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

// Units is the number of units over all lines: the figure on the cart badge.
func (c Cart) Units() int {
	units := 0
	for _, line := range c.Lines {
		units += line.Quantity
	}
	return units
}

// MissingForFreeShipping is what the subtotal lacks, zero when nothing.
func (c Cart) MissingForFreeShipping() Money {
	return Euros(max(0, FreeShippingFrom.Cents-c.Subtotal.Cents))
}

// Price is that of one unit: the variant's, or that of the sale which holds it.
func (l CartLine) Price() Money {
	if l.Hold != nil {
		return l.price
	}
	return l.Variant.Price
}

// Short tells that fewer units are left than the line asks for.
func (l CartLine) Short() bool { return l.Hold == nil && l.Variant.Stock < l.Quantity }

// Name is the product's name with the variant's.
func (l CartLine) Name() string {
	if l.Variant.Name == "" {
		return l.Product.Name
	}
	return l.Product.Name + " (" + l.Variant.Name + ")"
}

// Cart returns a cart. One that is unknown or has not been touched for 30 days
// is empty. Units of a sale whose time is over are at their ordinary price.
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

// CartUnits is the number of units in a cart.
func (s *Shop) CartUnits(ctx context.Context, id string) (int, error) {
	if id == "" {
		return 0, nil
	}
	return countUnits(ctx, s.db, id)
}

// AddToCart adds units of a variant to a cart and returns the cart's id: a new
// one when id is empty. It is ErrQuantity, ErrNotFound or a ShortError when
// that many cannot be had.
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

// SetQuantity sets how many units of a variant are in a cart; 0 removes it.
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

// ForgetOldCarts deletes carts that have not been touched for CartKept.
func (s *Shop) ForgetOldCarts(ctx context.Context) error {
	forgotten, err := s.db.Exec(ctx, `DELETE FROM carts WHERE updated_at < now() - $1::interval`, CartKept)
	if err != nil {
		return fmt.Errorf("forget old carts: %w", err)
	}
	s.log.InfoContext(ctx, "Old carts forgotten", "carts", forgotten.RowsAffected())
	return nil
}

// Private

// changeCart runs change with the cart's row locked, so that two tabs take
// turns, and tells all open pages of the cart.
func (s *Shop) changeCart(ctx context.Context, id string, change func(tx pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// What a cart held that nobody touched for 30 days is forgotten.
		_, err := tx.Exec(ctx, `
			DELETE FROM cart_lines
			WHERE cart_id IN (SELECT id FROM carts WHERE id = $1 AND updated_at <= now() - interval '30 days')`, id)
		if err != nil {
			return fmt.Errorf("empty old cart: %w", err)
		}
		_, err = tx.Exec(ctx, `
			INSERT INTO carts (id) VALUES ($1)
			ON CONFLICT (id) DO UPDATE SET updated_at = now()`, id)
		if err != nil {
			return fmt.Errorf("store cart: %w", err)
		}
		return change(tx)
	})
	if err != nil {
		return err
	}
	s.tasks.Enqueue(ctx, BroadcastCart{CartID: id})
	return nil
}

func countUnits(ctx context.Context, db querier, id string) (int, error) {
	var units int
	err := db.QueryRow(ctx, `
		SELECT coalesce((SELECT sum(quantity) FROM cart_lines WHERE cart_id = c.id), 0) +
		       (SELECT count(*) FROM sale_holds WHERE cart_id = c.id AND state = 'held')
		FROM carts c
		WHERE c.id = $1 AND c.updated_at > now() - interval '30 days'`, id,
	).Scan(&units)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count units of cart: %w", err)
	}
	return units, nil
}

func unitsInCart(ctx context.Context, tx pgx.Tx, id string, variantID int64) (int, error) {
	var units int
	err := tx.QueryRow(ctx, `
		SELECT coalesce((SELECT quantity FROM cart_lines WHERE cart_id = $1 AND variant_id = $2), 0)`, id, variantID,
	).Scan(&units)
	if err != nil {
		return 0, fmt.Errorf("count units in cart: %w", err)
	}
	return units, nil
}

func setLine(ctx context.Context, tx pgx.Tx, id string, variantID int64, quantity int) error {
	if quantity > MaxQuantity {
		return ErrQuantity
	}
	short := &ShortError{VariantID: variantID}
	err := tx.QueryRow(ctx, `
		SELECT p.name || CASE v.name WHEN '' THEN '' ELSE ' (' || v.name || ')' END, v.stock
		FROM variants v
		JOIN products p ON p.id = v.product_id
		WHERE v.id = $1`, variantID,
	).Scan(&short.Name, &short.Left)
	if errors.Is(err, pgx.ErrNoRows) {
		return ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("find variant %d: %w", variantID, err)
	}
	if short.Left < quantity {
		return short
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO cart_lines (cart_id, variant_id, quantity) VALUES ($1, $2, $3)
		ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = excluded.quantity`, id, variantID, quantity)
	if err != nil {
		return fmt.Errorf("put into cart: %w", err)
	}
	return nil
}

// querier is the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, arguments ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, arguments ...any) pgx.Row
}

func readCart(ctx context.Context, db querier, id string) (Cart, error) {
	rows, err := db.Query(ctx, `
		SELECT line.quantity, v.id, v.product_id, v.sku, v.name, v.price_cents, v.currency, v.stock,
		       p.id, p.slug, p.name, p.tagline, p.picture,
		       line.sale_id, line.sale_price_cents, line.claim_id, line.expires_at
		FROM (
			SELECT l.variant_id, l.quantity, l.added_at, lapsed.sale_id, lapsed.price_cents AS sale_price_cents,
			       NULL AS claim_id, NULL::timestamptz AS expires_at
			FROM cart_lines l
			LEFT JOIN LATERAL (
				SELECT h.sale_id, s.price_cents
				FROM sale_holds h
				JOIN flash_sales s ON s.id = h.sale_id
				WHERE h.cart_id = $1 AND h.state = 'lapsed' AND s.variant_id = l.variant_id
				LIMIT 1
			) AS lapsed ON true
			WHERE l.cart_id = $1
			UNION ALL
			SELECT s.variant_id, 1, h.held_at, s.id, s.price_cents, h.claim_id::text, h.expires_at
			FROM sale_holds h
			JOIN flash_sales s ON s.id = h.sale_id
			WHERE h.cart_id = $1 AND h.state = 'held'
		) AS line
		JOIN carts c ON c.id = $1
		JOIN variants v ON v.id = line.variant_id
		JOIN products p ON p.id = v.product_id
		WHERE c.updated_at > now() - interval '30 days'
		ORDER BY line.added_at, v.id, line.claim_id`, id)
	if err != nil {
		return Cart{}, fmt.Errorf("read cart: %w", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (CartLine, error) {
		var line CartLine
		var saleID, salePrice *int64
		var claimID *string
		var expiresAt *time.Time
		err := row.Scan(&line.Quantity, &line.Variant.ID, &line.Variant.ProductID, &line.Variant.SKU, &line.Variant.Name,
			&line.Variant.Price.Cents, &line.Variant.Price.Currency, &line.Variant.Stock,
			&line.Product.ID, &line.Product.Slug, &line.Product.Name, &line.Product.Tagline, &line.Product.Picture,
			&saleID, &salePrice, &claimID, &expiresAt)
		if salePrice != nil {
			price := Money{Cents: *salePrice, Currency: line.Variant.Price.Currency}
			if claimID != nil {
				line.Hold, line.price = &Hold{ClaimID: *claimID, SaleID: *saleID, ExpiresAt: *expiresAt}, price
			} else {
				line.Lapsed = &price
			}
		}
		line.Total = line.Price().Times(line.Quantity)
		return line, err
	})
	if err != nil {
		return Cart{}, fmt.Errorf("read cart: %w", err)
	}
	return Cart{ID: id, Lines: lines}.priced(), nil
}

// held are the lines that a sale holds, in the order of the sales' ids.
func (c Cart) held() []CartLine {
	lines := slices.DeleteFunc(slices.Clone(c.Lines), func(line CartLine) bool { return line.Hold == nil })
	slices.SortStableFunc(lines, func(a, b CartLine) int { return cmp.Compare(a.Hold.SaleID, b.Hold.SaleID) })
	return lines
}

// expired tells whether the time of a hold is over.
func (c Cart) expired(now time.Time) bool {
	return slices.ContainsFunc(c.Lines, func(line CartLine) bool { return line.Hold != nil && !now.Before(line.Hold.ExpiresAt) })
}

// forgetLapsed forgets what a shopper was told about a variant in the cart,
// who then has done something about it.
func forgetLapsed(ctx context.Context, tx pgx.Tx, id string, variantID int64) error {
	_, err := tx.Exec(ctx, `
		DELETE FROM sale_holds h
		USING flash_sales s
		WHERE s.id = h.sale_id AND h.cart_id = $1 AND h.state = 'lapsed' AND s.variant_id = $2`, id, variantID)
	if err != nil {
		return fmt.Errorf("forget lapsed holds: %w", err)
	}
	return nil
}

// priced fills in the sums.
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
