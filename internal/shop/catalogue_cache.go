package shop

import (
	"context"
	"slices"
	"time"

	"slipway/internal/cache"
	"slipway/internal/keyset"
)

// The caches hold which products a list shows, but not their stock and price.
// Each page reads those from the database, because its live updates contain only
// the changes after that read.
//
// Raise the version of a kind whenever its JSON changes.
var (
	categoriesCache    = cache.Kind[[]Category]{Name: "categories", Version: 1, Life: time.Minute}
	listsCache         = cache.Kind[[]int64]{Name: "lists", Version: 1, Life: time.Minute, Absent: ErrNotFound}
	categoryPagesCache = cache.Kind[categoryPage]{Name: "shelves", Version: 2, Life: time.Minute, Absent: ErrNotFound}

	// Not in Redis: any client can make up cursors and fill it.
	continuedPagesCache = cache.Kind[categoryPage]{Name: "continued", Version: 1, Life: time.Minute, Local: true, Absent: ErrNotFound}

	// Only pages far from the beginning of long lists need them.
	milestonesCache = cache.Kind[milestones]{Name: "milestones", Version: 1, Life: 10 * time.Minute}

	// The only cached stock. Pages that poll, because they get no events, ask for
	// the same few sets of products at the same time.
	stockCache = cache.Kind[[]Product]{Name: "stock", Version: 1, Life: time.Second, Local: true}

	// Not in Redis: any client can make up searches and fill it.
	searchesCache = cache.Kind[searchResults]{Name: "searches", Version: 2, Life: time.Minute, Local: true}

	// The key of a picture changes with its content. Not in Redis: PostgreSQL
	// returns a picture faster, and each process has room for all of them.
	picturesCache = cache.Kind[string]{Name: "pictures", Version: 1, Life: time.Hour, Local: true, Absent: ErrNotFound}
)

// categoryPage is one page of a category.
type categoryPage struct {
	Category Category
	Total    int  // products on all pages
	More     bool // there are more than Total
	IDs      []int64
	Next     keyset.Cursor // empty after the last page
	Last     bool
}

// searchResults are the results of a search, on all pages.
type searchResults struct {
	IDs  []int64
	More bool // there are more
}

// listsStatement reads the products of several lists, in the order of each list. It
// leaves out products that no longer exist.
func listsStatement(lists ...[]int64) statement[[][]Card] {
	const wanted = `unnest($1::bigint[]) AS wanted (id) JOIN products p ON p.id = wanted.id`
	cards := cardsStatement("products by their ids", wanted, "", forOnePlan(slices.Concat(lists...)))
	return as(cards, func(cards []Card) [][]Card { return split(cards, lists) })
}

// forOnePlan adds ids of no product to a short list. PostgreSQL expects ten rows of an
// unnest whose array it does not know. It plans the statement anew at each execution, for
// longer than that takes, if the array at hand promises fewer.
func forOnePlan(ids []int64) []int64 {
	const expected = 10
	if len(ids) >= expected {
		return ids
	}
	return append(slices.Clone(ids), make([]int64, expected-len(ids))...)
}

// list reads the products of one list into a listing, of which the rest is known before
// Do.
func (r *Reads) list(listing Listing, ids []int64) *Listing {
	if len(ids) == 0 {
		return &listing
	}
	complete := read(r, as(listsStatement(ids), func(lists [][]Card) Listing {
		listing.Cards = lists[0]
		return listing
	}))
	*complete = listing
	return complete
}

// split puts cards into lists of their ids.
func split(cards []Card, lists [][]int64) [][]Card {
	byID := map[int64]Card{}
	for _, card := range cards {
		byID[card.ID] = card
	}
	cardsOf := make([][]Card, len(lists))
	for i, list := range lists {
		for _, id := range list {
			if card, there := byID[id]; there {
				cardsOf[i] = append(cardsOf[i], card)
			}
		}
	}
	return cardsOf
}

// listed returns the ids of a cached list of products, which read loads.
func (s *Shop) listed(ctx context.Context, key string, read func(ctx context.Context) ([]Card, error)) ([]int64, error) {
	return listsCache.Fetch(ctx, s.cache, key, func(ctx context.Context) ([]int64, error) {
		cards, err := read(ctx)
		return idsOf(cards), err
	})
}

func idsOf(cards []Card) []int64 {
	ids := make([]int64, len(cards))
	for i, card := range cards {
		ids[i] = card.ID
	}
	return ids
}
