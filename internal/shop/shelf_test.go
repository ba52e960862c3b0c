package shop_test

import (
	"encoding/base64"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/keyset"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
)

var sorts = []shop.Sort{shop.SortFeatured, shop.SortPriceLow, shop.SortPriceHigh, shop.SortName, shop.SortNewest}

func TestCategory_AWalkShowsEachProductOnceWhileProductsAreAdded(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 200)

	for _, sort := range sorts {
		for _, slug := range []string{shop.Everything.Slug, "deck"} {
			before := s.count(t, `SELECT count(*) FROM products p JOIN categories c ON c.id = category_id WHERE $1 IN (c.slug, 'everything')`, slug)
			seen, old := map[int64]bool{}, 0
			for place := (shop.Place{Page: 1}); ; {
				_, listing, err := readPlace(t, s.Shop, slug, sort, place)
				require.NoError(t, err)
				for _, card := range listing.Cards {
					require.False(t, seen[card.ID], "%s %s", slug, sort)
					seen[card.ID] = true
					if card.Name != "Added" && card.Name != "Zadded" {
						old++
					}
				}
				s.add(t, sort, place.Page)
				if listing.Last {
					break
				}
				place = shop.Place{Page: place.Page + 1, After: listing.Next}
			}
			require.Equal(t, before, old, "%s %s", slug, sort)
			_, err := s.db.Exec(t.Context(), `DELETE FROM variants WHERE sku LIKE 'ADDED-%'`)
			require.NoError(t, err)
			_, err = s.db.Exec(t.Context(), `DELETE FROM products WHERE slug LIKE 'added-%'`)
			require.NoError(t, err)
		}
	}
}

func TestCategory_PageNumbersShowWhatAWalkShows(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 2700)
	catalogue := s.cached(t, "")

	for _, sort := range sorts {
		for _, slug := range []string{shop.Everything.Slug, "deck"} {
			pages := 0
			for place := (shop.Place{Page: 1}); ; {
				_, walked, err := readPlace(t, catalogue, slug, sort, place)
				require.NoError(t, err)
				pages = place.Page
				if pages%29 == 1 || pages > 198 && pages < 206 || walked.Last {
					_, numbered, err := readCategory(t, catalogue, slug, sort, place.Page)
					require.NoError(t, err)
					require.Equal(t, walked, numbered, "%s %s", slug, sort)
				}
				if walked.Last {
					break
				}
				place = shop.Place{Page: place.Page + 1, After: walked.Next}
			}
			require.Greater(t, pages, 220)
			for _, beyond := range []int{pages + 1, pages + 1000} {
				_, _, err := readCategory(t, catalogue, slug, sort, beyond)
				require.ErrorIs(t, err, shop.ErrNotFound)
			}
		}
	}
}

func TestCategory_CountsProductsOfAShortListOnly(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 2500)

	_, long, err := readCategory(t, s.Shop, shop.Everything.Slug, shop.SortFeatured, 1)
	require.NoError(t, err)
	_, short, err := readCategory(t, s.Shop, "galley", shop.SortFeatured, 1)
	require.NoError(t, err)

	require.Equal(t, []any{2400, true, 0, false}, []any{long.Total, long.More, long.Pages, long.Last})
	require.Equal(t, []any{9, false, 1, true}, []any{short.Total, short.More, short.Pages, short.Last})
}

func TestCategory_EveryPageReadsABoundedNumberOfRows(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 20000)
	single := pgtest.Single(t, s.db)
	s.db = single
	for _, sort := range sorts {
		for _, slug := range []string{shop.Everything.Slug, "deck"} {
			catalogue := s.cached(t, "")
			_, _, err := readCategory(t, catalogue, slug, sort, 1000) // reads the milestones, once
			require.NoError(t, err)
			_, deep, err := readCategory(t, catalogue, slug, sort, 1100)
			require.NoError(t, err)
			for _, place := range []shop.Place{{Page: 1}, {Page: 150}, {Page: 1101}, {Page: 1660}, {Page: 1101, After: deep.Next}} {
				before := pgtest.RowsRead(t, single, "products") + pgtest.RowsRead(t, single, "product_prices")
				_, listing, err := readPlace(t, catalogue, slug, sort, place)
				require.NoError(t, err)
				require.Len(t, listing.Cards, shop.PageSize)

				read := pgtest.RowsRead(t, single, "products") + pgtest.RowsRead(t, single, "product_prices") - before
				require.Less(t, read, 5000, "%s %s %v", slug, sort, place) // 2401 are counted, at most 2400 skipped
			}
		}
	}
}

func TestRelated_ReadsTheNextProductsOfTheCategory(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 3000)
	_, err := s.db.Exec(t.Context(), `
		UPDATE products SET position = 100 + 10 * substr(slug, 7)::int WHERE slug LIKE 'grown-%'`) // further than a thousand apart
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `VACUUM ANALYZE products`)
	require.NoError(t, err)
	_, deck, err := readCategory(t, s.Shop, "deck", shop.SortFeatured, 1)
	require.NoError(t, err)
	single := pgtest.Single(t, s.db)
	s.db = single
	catalogue := s.cached(t, "")

	for slug, expected := range map[string][]string{
		"grown-1499":       {"grown-1500", "grown-1501", "grown-1502", "grown-1503"},
		"grown-2998":       {"grown-2999", "grown-3000", deck.Cards[0].Slug, deck.Cards[1].Slug},
		deck.Cards[0].Slug: {deck.Cards[1].Slug, deck.Cards[2].Slug, deck.Cards[3].Slug, deck.Cards[4].Slug},
		"nope":             nil,
	} {
		before := pgtest.RowsRead(t, single, "products")
		related, err := readRelated(t, catalogue, slug, 4)
		require.NoError(t, err)

		var slugs []string
		for _, card := range related {
			slugs = append(slugs, card.Slug)
		}
		require.Equal(t, expected, slugs, slug)
		require.Less(t, pgtest.RowsRead(t, single, "products")-before, 50, slug)
	}
}

func TestCategory_IsNotFoundWithACursorOfAnotherList(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, first, err := readCategory(t, s.Shop, shop.Everything.Slug, shop.SortName, 1)
	require.NoError(t, err)
	encoded := func(text string) keyset.Cursor {
		return keyset.Cursor(base64.RawURLEncoding.EncodeToString([]byte(text)))
	}

	_, featured, err := readCategory(t, s.Shop, shop.Everything.Slug, shop.SortFeatured, 1)
	require.NoError(t, err)
	_, _, err = readPlace(t, s.Shop, shop.Everything.Slug, shop.SortFeatured, shop.Place{Page: 2, After: featured.Next})
	require.NoError(t, err)
	for _, place := range []shop.Place{{Page: 1, After: featured.Next}, {Page: 3, After: featured.Next}, {Page: 777, After: featured.Next}} {
		_, _, err = readPlace(t, s.Shop, shop.Everything.Slug, shop.SortFeatured, place)
		require.ErrorIs(t, err, shop.ErrNotFound, place.Page)
	}
	_, _, err = readPlace(t, s.Shop, "deck", shop.SortFeatured, shop.Place{Page: 2, After: featured.Next})
	require.ErrorIs(t, err, shop.ErrNotFound)

	for sort, cursors := range map[shop.Sort][]keyset.Cursor{
		shop.SortFeatured: {"x", "%", "\x00", first.Next, first.Next[1:], encoded(`{}`), encoded(`[]`),
			encoded(`{"s":"featured","n":"1","id":1,"p":2}`),
			encoded(`{"s":"featured","n":9223372036854775807,"id":9223372036854775807,"p":2}`)},
		shop.SortName: {encoded(`{"s":"name","t":"a\u0000b","id":1,"p":2}`), encoded(`{"s":"name","t":"zzz","id":1,"p":2}`)},
		shop.SortNewest: {encoded(`{"s":"newest","n":9223372036854775807,"id":1,"p":2}`),
			encoded(`{"s":"newest","n":-9223372036854775808,"id":1,"p":2}`)},
	} {
		for _, cursor := range cursors {
			_, _, err := readPlace(t, s.Shop, shop.Everything.Slug, sort, shop.Place{Page: 2, After: cursor})
			require.ErrorIs(t, err, shop.ErrNotFound, string(cursor))
		}
	}
}

func TestCategory_ContinuesByNumberAfterANameThatIsTooLongForACursor(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, first, err := readCategory(t, s.Shop, shop.Everything.Slug, shop.SortName, 1)
	require.NoError(t, err)
	last := first.Cards[len(first.Cards)-1]
	_, err = s.db.Exec(t.Context(), `UPDATE products SET name = name || repeat('x', 5000) WHERE id = $1`, last.ID)
	require.NoError(t, err)

	_, first, err = readCategory(t, s.cached(t, ""), shop.Everything.Slug, shop.SortName, 1)

	require.NoError(t, err)
	require.Equal(t, last.ID, first.Cards[len(first.Cards)-1].ID)
	require.Equal(t, []any{keyset.Cursor(""), false}, []any{first.Next, first.Last})
}

func TestCategory_SortsByThePriceOfTheCheapestVariantWhateverChangesIt(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	cheapest := func() string {
		_, listing, err := readCategory(t, s.Shop, "galley", shop.SortPriceLow, 1)
		require.NoError(t, err)
		return fmt.Sprint(listing.Cards[0].Slug, " ", listing.Cards[0].From.Cents, " ", len(listing.Cards))
	}
	exec := func(statement string) {
		_, err := s.db.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	require.Equal(t, "swing-top-bottle 1250 9", cheapest())

	exec(`UPDATE variants SET price_cents = 900 WHERE sku = 'LW-MUG-RST'`)
	require.Equal(t, "harbour-enamel-mug 900 9", cheapest())
	exec(`UPDATE variants SET product_id = (SELECT id FROM products WHERE slug = 'kelp-soap') WHERE sku = 'LW-MUG-RST'`)
	require.Equal(t, "swing-top-bottle 1250 9", cheapest())
	exec(`INSERT INTO variants (product_id, sku, name, price_cents, stock, position)
		SELECT id, 'NEW', '', 800, 1, 9 FROM products WHERE slug = 'headland-kettle'`)
	require.Equal(t, "headland-kettle 800 9", cheapest())
	exec(`DELETE FROM variants WHERE sku = 'NEW'`)
	require.Equal(t, "swing-top-bottle 1250 9", cheapest())
	exec(`UPDATE products SET category_id = (SELECT id FROM categories WHERE slug = 'galley') WHERE slug = 'kelp-soap'`)
	require.Equal(t, "kelp-soap 900 10", cheapest())
	exec(`DELETE FROM variants WHERE product_id = (SELECT id FROM products WHERE slug = 'kelp-soap')`)
	require.Equal(t, "swing-top-bottle 1250 9", cheapest())
	exec(`TRUNCATE variants CASCADE`)
	require.Zero(t, s.count(t, `SELECT count(*) FROM product_prices`))
}

// Private

// add adds a product that comes first in an order, and one that comes last.
func (s store) add(t *testing.T, sort shop.Sort, n int) {
	t.Helper()
	for _, end := range []string{"first", "last"} {
		slug := fmt.Sprintf("added-%s-%d-%s", sort, n, end)
		rank, name, age, price := -n, "Added", "-1 hour", 1
		if end == "last" {
			rank, name, age, price = 1_000_000, "Zadded", "20 years", 1_000_000
		}
		_, err := s.db.Exec(t.Context(), `
			WITH added AS (
				INSERT INTO products (category_id, slug, name, tagline, description, details, picture, position, featured, created_at, words)
				SELECT id, $1, $3, '', '', '{}', (SELECT min(key) FROM pictures), $2, $2, now() - $4::interval, ''
				FROM categories WHERE slug = 'deck'
				RETURNING id
			)
			INSERT INTO variants (product_id, sku, name, price_cents, stock, position) SELECT id, 'ADDED-' || $1, '', $5, 1, 0 FROM added`,
			slug, rank, name, age, price)
		require.NoError(t, err)
	}
}
