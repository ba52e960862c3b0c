package shop

import (
	"context"

	"github.com/jackc/pgx/v5"
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

// Listing is one page of a list of products.
type Listing struct {
	Cards []Card
	Sort  Sort
	Page  int // from 1
	Pages int // at least 1
	Total int // products on all pages
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

func newListing(sort Sort, page, total int) (Listing, error) {
	pages := max(1, (total+PageSize-1)/PageSize)
	if page < 1 || page > pages {
		return Listing{}, ErrNotFound
	}
	return Listing{Sort: sort, Page: page, Pages: pages, Total: total}, nil
}

// orderBy is the SQL of an order. Usual is the SQL of SortFeatured.
func (s Sort) orderBy(usual string) string {
	switch s {
	case SortPriceLow:
		return "price.low, p.id"
	case SortPriceHigh:
		return "price.low DESC, p.id"
	case SortName:
		return "p.name, p.id"
	case SortNewest:
		return "p.created_at DESC, p.id DESC"
	default:
		return usual + ", p.id"
	}
}

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
