package shop

import (
	"context"

	"github.com/jackc/pgx/v5"

	"slipway/internal/keyset"
)

// Card is a product in a list.
type Card struct {
	ID      int64
	Slug    string
	Name    string
	Tagline string
	Picture string
	From    Money // price of the cheapest variant
	Varies  bool  // whether variants differ in price
	Stock   int   // units left of all variants
}

// Sort is the order of a list of products.
type Sort string

// A shopper can choose between these orders. SortFeatured is the default.
const (
	SortFeatured  Sort = "featured"
	SortPriceLow  Sort = "price-low"
	SortPriceHigh Sort = "price-high"
	SortName      Sort = "name"
	SortNewest    Sort = "newest"
)

// PageSize is the number of products on one page of a list.
const PageSize = 12

// Place says which page of a list is wanted.
type Place struct {
	Page int // from 1
	// After is the Next of the page before. A page that is read by it begins where the
	// other one ended, also when products were added meanwhile. Without it, the page is
	// found by its number.
	After keyset.Cursor
}

// Listing is one page of a list of products.
type Listing struct {
	Cards []Card
	Sort  Sort
	Page  int           // from 1
	Pages int           // at least 1; 0 when it is not known, because there are too many
	Total int           // products on all pages
	More  bool          // there are more products than Total, which are not counted
	Next  keyset.Cursor // of the next page; empty for lists that are read by page number alone
	Last  bool          // no page follows
}

// ParseSort reads the order in the query of a URL. An unknown one is SortFeatured.
func ParseSort(name string) Sort {
	switch sort := Sort(name); sort {
	case SortPriceLow, SortPriceHigh, SortName, SortNewest:
		return sort
	}
	return SortFeatured
}

// Private

// cardsStatement reads a list of products. From is the beginning of FROM, which ends
// with the products as p. Rest is the end of the statement: condition and order.
func cardsStatement(what, from, rest string, arguments ...any) statement[[]Card] {
	return statement[[]Card]{
		doing: "list " + what,
		sql: `
		SELECT p.id, p.slug, p.name, p.tagline, p.picture, price.low, price.currency, price.varies, price.stock
		FROM ` + from + `
		JOIN LATERAL (
			SELECT min(v.price_cents) AS low, min(v.currency) AS currency,
			       min(v.price_cents) < max(v.price_cents) AS varies, sum(v.stock)::bigint AS stock
			FROM variants v
			WHERE v.product_id = p.id
		) AS price ON price.low IS NOT NULL
		` + rest,
		arguments: arguments,
		collect: func(rows pgx.Rows) ([]Card, error) {
			return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Card, error) {
				var card Card
				err := row.Scan(&card.ID, &card.Slug, &card.Name, &card.Tagline, &card.Picture,
					&card.From.Cents, &card.From.Currency, &card.Varies, &card.Stock)
				return card, err
			})
		},
	}
}

// cards reads a list of all products that rest selects.
func (s *Shop) cards(ctx context.Context, what, rest string, arguments ...any) ([]Card, error) {
	return cardsStatement(what, "products p", rest, arguments...).read(ctx, s.db)
}
