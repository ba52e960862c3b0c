package shop

import (
	"context"
	"time"

	"slipway/internal/cache"
)

// What the store keeps in its cache: which products a list shows, and never
// their stock or price. Those are read whenever a page is made, because open
// pages follow their changes from the moment of the reading.
//
// Raise a version whenever the JSON of its kind changes.
var (
	keptCategories = cache.Kind[[]Category]{Name: "categories", Version: 1, Life: time.Minute}
	keptLists      = cache.Kind[[]int64]{Name: "lists", Version: 1, Life: time.Minute}
	keptShelves    = cache.Kind[shelf]{Name: "shelves", Version: 1, Life: time.Minute, Absent: ErrNotFound}

	// Pages that ask by themselves ask for the same few sets of products, all at
	// the same time. This is the one place where stock is kept: for a second, and
	// without a number of the event up to which it holds.
	keptStock = cache.Kind[[]Product]{Name: "stock", Version: 1, Life: time.Second, Local: true}

	// Anybody can invent a search, so Redis does not hold them.
	keptSearches = cache.Kind[found]{Name: "searches", Version: 1, Life: time.Minute, Local: true, Absent: ErrNotFound}

	// A picture's key is the hash of its content. It takes longer to fetch one
	// from Redis than from PostgreSQL, and every process has room for all.
	keptPictures = cache.Kind[string]{Name: "pictures", Version: 1, Life: time.Hour, Local: true, Absent: ErrNotFound}
)

// shelf is one page of a category.
type shelf struct {
	Category Category
	Total    int // products over all pages
	IDs      []int64
}

// found is one page of search results.
type found struct {
	Total int
	IDs   []int64
}

// cardsOf reads products as lists show them, in the order of lists. All lists
// are read in one statement; a product that is gone is left out.
func (s *Shop) cardsOf(ctx context.Context, lists ...[]int64) ([][]Card, error) {
	var ids []int64
	for _, list := range lists {
		ids = append(ids, list...)
	}
	cardsOf := make([][]Card, len(lists))
	if len(ids) == 0 {
		return cardsOf, nil
	}
	cards, err := s.cards(ctx, "products by their ids", `WHERE p.id = ANY($1)`, ids)
	if err != nil {
		return nil, err
	}
	byID := map[int64]Card{}
	for _, card := range cards {
		byID[card.ID] = card
	}
	for i, list := range lists {
		for _, id := range list {
			if card, there := byID[id]; there {
				cardsOf[i] = append(cardsOf[i], card)
			}
		}
	}
	return cardsOf, nil
}

// listed returns the ids of a list, which read makes.
func (s *Shop) listed(ctx context.Context, key string, read func(ctx context.Context) ([]Card, error)) ([]int64, error) {
	return keptLists.Fetch(ctx, s.cache, key, func(ctx context.Context) ([]int64, error) {
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
