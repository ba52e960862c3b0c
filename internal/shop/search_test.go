package shop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
)

func TestSearch_FindsWhatShoppersMean(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	// By plain SQL, as any program does it.
	_, err := s.db.Exec(t.Context(), `
		UPDATE products SET name = 'Crème Brûlée Dish', words = 'Crème Brûlée Dish', description = 'Of Gmünd porcelain, fired twice.'
		WHERE slug = 'deckhand-bowls'`)
	require.NoError(t, err)

	for query, slug := range map[string]string{
		"Crème Brûlée": "deckhand-bowls", // as written
		"creme brulee": "deckhand-bowls", // without accents
		"CREME BRULE":  "deckhand-bowls", // a beginning
		"Cre\u0300me":  "deckhand-bowls", // an accent of its own, as macOS writes it
		"gmund":        "deckhand-bowls", // in the description
		"lante":        "hurricane-lantern",
		"enam mu":      "harbour-enamel-mug",
		"lw-mug-nvy":   "harbour-enamel-mug",
		"LW-STM":       "tideline-stoneware-mug",
		" LW-KTL-SGE ": "headland-kettle",
		"mug navy":     "", // a variant's name is not searched
		`"lantrn"`:     "", // meant word for word
		"mug -enamel":  "tideline-stoneware-mug",
	} {
		listing, err := readSearch(t, s.Shop, query, 1)
		require.NoError(t, err)
		if slug == "" {
			continue
		}
		require.NotEmpty(t, listing.Cards, query)
		require.Equal(t, slug, listing.Cards[0].Slug, query)
	}
	literal, err := readSearch(t, s.Shop, `"lantrn"`, 1)
	require.NoError(t, err)
	require.Zero(t, literal.Total)
}

func TestSearch_OfAnyQueryReadsABoundedNumberOfRows(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 30000)
	single := pgtest.Single(t, s.db)
	s.db = single
	catalogue := s.cached(t, "")

	for query, expected := range map[string]struct {
		results int
		more    bool
	}{
		"quoddy": {240, true}, "Quoddy 317": {50, false}, "qoddy": {240, true}, "q": {240, true}, "tenthly": {240, true}, "tenthy": {240, true},
		"thousandth": {30, false}, "thousandht": {30, false}, "quoddy tenthly": {240, true}, "tenthly thousandth": {0, false},
		"zzzzqqqq": {0, false}, "GROWN-1": {240, true}, "lantrn": {1, false}, "lantern quoddy": {0, false},
		"-quoddy": {1, true}, "-tenthly": {240, true}, `"tenthly quoddy"`: {0, false}, `"quoddy tenthly"`: {240, true},
		"quoddy -tenthly": {240, true}, "tenthly or thousandth": {240, true},
		"quoddy quoddi quody qoddy quodd quo qu q": {240, true}, strings.Repeat("quoddy ", 50): {240, true},
		// Every description has these words, and no name.
		"man": {0, true}, "manyy": {0, true}, `"many one" -zzzz`: {0, true}, `"one many" -zzzz`: {0, true},
		// Each product has one of two words, and none has both.
		"portside starboard": {0, false}, "portside -portside": {0, true},
	} {
		products, words, variants := pgtest.RowsRead(t, single, "products"), pgtest.RowsRead(t, single, "search_words"),
			pgtest.RowsRead(t, single, "variants")
		listing, err := readSearch(t, catalogue, query, 1)
		require.NoError(t, err)

		require.LessOrEqual(t, listing.Total, 240, query)
		require.GreaterOrEqual(t, listing.Total, expected.results, query)
		require.Equal(t, expected.more, listing.More, query)
		read := pgtest.RowsRead(t, single, "products") - products
		// Three steps look at 1440 products twice and rank 720, and the index may have as
		// many matches as a sixth of the catalogue.
		require.Less(t, read, 3*(2*1440+720)+30000/6, query)
		require.Less(t, pgtest.RowsRead(t, single, "search_words")-words, 1500, query)
		require.Less(t, pgtest.RowsRead(t, single, "variants")-variants, 1000, query)
	}
}

func TestSearch_ComparesABoundedNumberOfWords(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	_, err := s.db.Exec(t.Context(), `
		INSERT INTO search_words (word, lexeme)
		SELECT word, word
		FROM generate_series(1, 20000) AS n, unnest(ARRAY['quay' || n, 'abc' || n, '1234' || n]) AS word`)
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `VACUUM ANALYZE search_words`)
	require.NoError(t, err)
	single := pgtest.Single(t, s.db)
	fetched := func() (words int) {
		pgtest.RowsRead(t, single, "search_words") // flushes the statistics
		err := single.QueryRow(t.Context(), `SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'search_words'`).Scan(&words)
		require.NoError(t, err)
		return words
	}
	s.db = single
	catalogue := s.cached(t, "")

	for query, most := range map[string]int{"quayx": 4000, "abx": 100, "12340x": 4000, "12340": 100} {
		before := fetched()
		_, err := readSearch(t, catalogue, query, 1)

		require.NoError(t, err)
		require.Less(t, fetched()-before, most, query)
	}
}

func TestSearch_FindsTheOneProductAmongManyWithItsWords(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 20000)
	_, err := s.db.Exec(t.Context(), `
		WITH added AS (
			INSERT INTO products (category_id, slug, name, tagline, description, details, picture, position, featured, words)
			SELECT other.category_id, one.slug, one.name, '', '', '{}', other.picture, 99999, 99999, one.name
			FROM products AS other, (VALUES ('reversed', 'Tenthly Quoddy'), ('whole', 'Tenthly')) AS one (slug, name)
			WHERE other.slug = 'grown-1'
			RETURNING id
		)
		INSERT INTO variants (product_id, sku, name, price_cents, stock, position) SELECT id, 'ONE-' || id, '', 1, 1, 0 FROM added`)
	require.NoError(t, err)

	for query, slug := range map[string]string{`"tenthly quoddy"`: "reversed", "tenthly": "whole", "TENTHLY ": "whole"} {
		listing, err := readSearch(t, s.Shop, query, 1)

		require.NoError(t, err)
		require.NotEmpty(t, listing.Cards, query)
		require.Equal(t, slug, listing.Cards[0].Slug, query)
	}
}

func TestSearch_SortsAndPagesWhatItFound(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.grow(t, 3000)

	for _, sort := range sorts {
		seen := map[int64]bool{}
		for page := 1; page <= 20; page++ {
			listing, err := readPage(t, s.Shop, func(r *shop.Reads) *shop.Listing { return r.Search(t.Context(), "quoddy", sort, page) })
			require.NoError(t, err)
			require.Equal(t, []any{240, true, 20, page == 20}, []any{listing.Total, listing.More, listing.Pages, listing.Last})
			for i, card := range listing.Cards {
				require.False(t, seen[card.ID])
				seen[card.ID] = true
				if i > 0 && sort == shop.SortPriceHigh {
					require.LessOrEqual(t, card.From.Cents, listing.Cards[i-1].From.Cents)
				}
			}
		}
		require.Len(t, seen, 240)
	}
	_, err := readSearch(t, s.Shop, "quoddy", 21)
	require.ErrorIs(t, err, shop.ErrNotFound)
}

func TestSearch_OfAPageThatNoSearchHasAsksNobody(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.db.Close()

	for _, page := range []int{-1, 0, 21, 1 << 40} {
		_, err := readPage(t, s.Shop, func(r *shop.Reads) *shop.Listing { return r.Search(t.Context(), "mug", shop.SortFeatured, page) })
		require.ErrorIs(t, err, shop.ErrNotFound)
	}
}
