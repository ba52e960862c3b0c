package shop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Sale is a flash sale: a lower price for one variant, for a limited time and a
// limited number of units. All transactions lock sales in the order of their ids,
// and all but createSale lock them before variants.
type Sale struct {
	ID       int64
	Product  Card    // without stock
	Variant  Variant // at its ordinary price
	Price    Money
	Units    int // set aside for the sale
	Held     int // in carts
	Sold     int
	StartsAt time.Time
	EndsAt   time.Time
	State    SaleState

	version int64 // grows with every change
	expired bool  // at least one hold has expired
}

// SaleState is the state of a sale for shoppers.
type SaleState string

// A sale is upcoming, then open, then over. Between open and over it is taken while
// carts hold all units that are not sold, and sold out when all units are sold.
const (
	SaleUpcoming SaleState = "upcoming"
	SaleOpen     SaleState = "open"
	SaleTaken    SaleState = "taken"
	SaleSoldOut  SaleState = "sold-out"
	SaleOver     SaleState = "over"
)

// Left is the number of units that are neither held nor sold.
func (s Sale) Left() int { return s.Units - s.Held - s.Sold }

// Percent is the reduction of the price in percent, rounded down.
func (s Sale) Percent() int {
	return int((s.Variant.Price.Cents - s.Price.Cents) * 100 / s.Variant.Price.Cents)
}

// SaleTerms are the terms of a new sale.
type SaleTerms struct {
	VariantID int64
	Price     Money
	Units     int
	StartsAt  time.Time
	EndsAt    time.Time
}

// Errors of CreateSale, besides ShortError and ErrNotFound.
var (
	ErrSaleTerms  = errors.New("a sale needs units, a price below the ordinary one, and an end in the future and after its start")
	ErrSaleExists = errors.New("the variant has a sale already")
)

// CreateSale creates a sale and moves its units out of the stock of the variant.
// Unsold units return when the sale is closed.
func (s *Shop) CreateSale(ctx context.Context, terms SaleTerms) (Sale, error) {
	var sale Sale
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		var err error
		sale, err = createSale(ctx, tx, terms)
		return err
	})
	if err != nil {
		return Sale{}, fmt.Errorf("create sale: %w", err)
	}
	s.log.InfoContext(ctx, "Sale created",
		"sale", sale.ID, "sku", sale.Variant.SKU, "units", sale.Units, "price", sale.Price.String(), "ends_at", sale.EndsAt)
	return sale, nil
}

// FrontSale reads the sale for the front page: preferably an open one, then an upcoming
// one, then one that is just over. Its ID is 0 when there is none.
func (r *Reads) FrontSale() *Sale { return read(r, nearestSale(`true`)) }

// SaleOf reads the sale for the page of a product that is read too, chosen as by
// FrontSale. Most products have none, so nothing is asked unless the last page of the
// product had one. The first page of a sale costs another round trip.
func (r *Reads) SaleOf(product *Product, slug string) *Sale {
	statement := nearestSale(`v.product_id = (SELECT id FROM products WHERE slug = $1)`, slug)
	if _, likely := r.shop.hadSale.Load(slug); likely {
		r.then(func(context.Context) error {
			if !product.OnSale {
				r.shop.hadSale.Delete(slug)
			}
			return nil
		})
		return read(r, statement)
	}
	sale := new(Sale)
	r.then(func(ctx context.Context) (err error) {
		if product.OnSale {
			r.shop.hadSale.Store(slug, nil)
			*sale, err = statement.read(ctx, r.shop.db)
		}
		return err
	})
	return sale
}

// SalesOf reads the sales of products that pages show.
func (r *Reads) SalesOf(products []int64) *[]Sale {
	if len(products) == 0 {
		return new([]Sale)
	}
	return read(r, salesStatement(`WHERE `+nearestSales+`v.product_id = ANY($1) ORDER BY s.id`, products))
}

// Private

// Pages show a sale from a day before its start until an hour after its end.
const nearestSales = `
	s.starts_at < now() + interval '1 day' AND s.ends_at > now() - interval '1 hour' AND `

func nearestSale(where string, arguments ...any) statement[Sale] {
	sales := salesStatement(`WHERE `+nearestSales+where+`
		ORDER BY s.ends_at <= now(), s.starts_at > now(), s.sold = s.units, s.ends_at
		LIMIT 1`, arguments...)
	return as(sales, func(sales []Sale) Sale {
		if len(sales) == 0 {
			return Sale{}
		}
		return sales[0]
	})
}

// createSale locks the variant before the sale. Orders lock in the other order, but
// this cannot deadlock: no transaction waits for a sale that does not exist yet.
func createSale(ctx context.Context, tx pgx.Tx, terms SaleTerms) (Sale, error) {
	var price Money
	var stock int
	err := tx.QueryRow(ctx, `
		SELECT price_cents, currency, stock
		FROM variants
		WHERE id = $1
		FOR NO KEY UPDATE`, terms.VariantID,
	).Scan(&price.Cents, &price.Currency, &stock)
	if errors.Is(err, pgx.ErrNoRows) {
		return Sale{}, ErrNotFound
	}
	if err != nil {
		return Sale{}, fmt.Errorf("find variant %d: %w", terms.VariantID, err)
	}
	if terms.Units < 1 || terms.Price.Cents < 1 || terms.Price.Cents >= price.Cents || terms.Price.Currency != price.Currency ||
		!terms.EndsAt.After(terms.StartsAt) || !terms.EndsAt.After(time.Now()) {
		return Sale{}, ErrSaleTerms
	}
	if stock < terms.Units {
		return Sale{}, &ShortError{VariantID: terms.VariantID, Name: fmt.Sprintf("variant %d", terms.VariantID), Left: stock}
	}
	if _, err := tx.Exec(ctx, `UPDATE variants SET stock = stock - $2 WHERE id = $1`, terms.VariantID, terms.Units); err != nil {
		return Sale{}, fmt.Errorf("set units aside: %w", err)
	}
	var id int64
	err = tx.QueryRow(ctx, `
		INSERT INTO flash_sales (variant_id, price_cents, units, starts_at, ends_at)
		VALUES ($1, $2, $3, $4, $5)
		RETURNING id`, terms.VariantID, terms.Price.Cents, terms.Units, terms.StartsAt, terms.EndsAt,
	).Scan(&id)
	var problem *pgconn.PgError
	if errors.As(err, &problem) && problem.ConstraintName == "flash_sales_open_variant" {
		return Sale{}, ErrSaleExists
	}
	if err != nil {
		return Sale{}, fmt.Errorf("insert sale: %w", err)
	}
	return readSale(ctx, tx, id)
}

func readSale(ctx context.Context, db querier, id int64) (Sale, error) {
	sales, err := readSales(ctx, db, `WHERE s.id = $1`, id)
	if err != nil {
		return Sale{}, err
	}
	if len(sales) == 0 {
		return Sale{}, ErrNotFound
	}
	return sales[0], nil
}

func readSales(ctx context.Context, db querier, rest string, arguments ...any) ([]Sale, error) {
	return salesStatement(rest, arguments...).read(ctx, db)
}

// salesStatement reads sales, with their states by the clock of the database. Rest is
// the end of the statement: condition and order.
func salesStatement(rest string, arguments ...any) statement[[]Sale] {
	return statement[[]Sale]{
		doing: "read sales",
		sql: `
		SELECT s.id, s.price_cents, s.units, s.held, s.sold, s.starts_at, s.ends_at, s.version,
		       CASE WHEN s.ends_at <= now() OR s.ended_at IS NOT NULL THEN 'over'
		            WHEN s.starts_at > now() THEN 'upcoming'
		            WHEN s.sold = s.units THEN 'sold-out'
		            WHEN s.held + s.sold = s.units THEN 'taken'
		            ELSE 'open' END,
		       EXISTS (
			SELECT FROM sale_holds h
			WHERE h.sale_id = s.id AND h.state = 'held' AND h.expires_at <= now() - interval '` + saleGrace + `'),
		       v.id, v.product_id, v.sku, v.name, v.price_cents, v.currency, v.stock,
		       p.id, p.slug, p.name, p.tagline, p.picture
		FROM flash_sales s
		JOIN variants v ON v.id = s.variant_id
		JOIN products p ON p.id = v.product_id
		` + rest,
		arguments: arguments,
		collect: func(rows pgx.Rows) ([]Sale, error) {
			return pgx.CollectRows(rows, scanSale)
		},
	}
}

func scanSale(row pgx.CollectableRow) (Sale, error) {
	var sale Sale
	err := row.Scan(&sale.ID, &sale.Price.Cents, &sale.Units, &sale.Held, &sale.Sold, &sale.StartsAt, &sale.EndsAt, &sale.version,
		&sale.State, &sale.expired,
		&sale.Variant.ID, &sale.Variant.ProductID, &sale.Variant.SKU, &sale.Variant.Name,
		&sale.Variant.Price.Cents, &sale.Variant.Price.Currency, &sale.Variant.Stock,
		&sale.Product.ID, &sale.Product.Slug, &sale.Product.Name, &sale.Product.Tagline, &sale.Product.Picture)
	sale.Price.Currency = sale.Variant.Price.Currency
	sale.Product.From = sale.Variant.Price
	return sale, err
}
