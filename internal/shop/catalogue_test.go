package shop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/shop"
)

func TestSeed_MayRunAgainAndKeepsStock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 7)
	before := s.count(t, `SELECT count(*) FROM variants`)

	products, err := s.Seed(t.Context())

	require.NoError(t, err)
	require.GreaterOrEqual(t, products, 48)
	require.Equal(t, before, s.count(t, `SELECT count(*) FROM variants`))
	require.Equal(t, 7, s.stockOf(t, mug))
}

func TestCategory_PagesShowEveryProductOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	total := s.count(t, `SELECT count(*) FROM products`)
	pages := (total + shop.PageSize - 1) / shop.PageSize

	for _, sort := range []shop.Sort{shop.SortFeatured, shop.SortPriceLow, shop.SortPriceHigh, shop.SortName, shop.SortNewest} {
		seen := map[string]bool{}
		for page := 1; page <= pages; page++ {
			_, listing, err := readCategory(t, s.Shop, shop.Everything.Slug, sort, page)
			require.NoError(t, err)
			require.Equal(t, pages, listing.Pages)
			for _, card := range listing.Cards {
				require.False(t, seen[card.Slug], card.Slug)
				seen[card.Slug] = true
			}
		}
		require.Len(t, seen, total, string(sort))
	}
	for _, slug := range []string{shop.Everything.Slug, "galley"} {
		for _, page := range []int{0, -1, 1000, 1 << 40} {
			_, _, err := readCategory(t, s.Shop, slug, shop.SortFeatured, page)
			require.ErrorIs(t, err, shop.ErrNotFound)
		}
	}
}

func TestCategory_SortsByPrice(t *testing.T) {
	t.Parallel()
	s := newStore(t)

	_, cheapFirst, err := readCategory(t, s.Shop, "deck", shop.SortPriceLow, 1)
	require.NoError(t, err)
	_, dearFirst, err := readCategory(t, s.Shop, "deck", shop.SortPriceHigh, 1)
	require.NoError(t, err)

	for i := 1; i < len(cheapFirst.Cards); i++ {
		require.LessOrEqual(t, cheapFirst.Cards[i-1].From.Cents, cheapFirst.Cards[i].From.Cents)
		require.GreaterOrEqual(t, dearFirst.Cards[i-1].From.Cents, dearFirst.Cards[i].From.Cents)
	}
}

func TestProduct_IsNotFoundUnderNamesThatNoProductHas(t *testing.T) {
	t.Parallel()
	s := newStore(t)

	for _, slug := range []string{"", "nope", "\x00", "a\x00b", "../etc", "Harbour-Enamel-Mug", "' OR 1=1 --", strings.Repeat("a", 10000),
		"\xff\xfe"} {
		_, err := readProduct(t, s.Shop, slug)
		require.ErrorIs(t, err, shop.ErrNotFound)
		_, err = s.Picture(t.Context(), slug)
		require.ErrorIs(t, err, shop.ErrNotFound)
		_, _, err = readCategory(t, s.Shop, slug, shop.SortFeatured, 1)
		require.ErrorIs(t, err, shop.ErrNotFound)
	}
}

func TestSearch_ToleratesTypingErrors(t *testing.T) {
	t.Parallel()
	s := newStore(t)

	for query, slug := range map[string]string{
		"lantern":        "hurricane-lantern",
		"lantrn":         "hurricane-lantern",
		"huricane":       "hurricane-lantern",
		"LANTERNS":       "hurricane-lantern",
		"enamel mug":     "harbour-enamel-mug",
		"harbor enamel":  "harbour-enamel-mug",
		"barometr":       "hall-barometer",
		"fishermn jumpr": "fisherman-jumper",
	} {
		listing, err := readSearch(t, s.Shop, query, 1)
		require.NoError(t, err)
		require.NotEmpty(t, listing.Cards, query)
		require.Equal(t, slug, listing.Cards[0].Slug, query)
	}
}

func TestSearch_TakesAnyText(t *testing.T) {
	t.Parallel()
	s := newStore(t)

	for _, query := range []string{"", "   ", "\x00", "\xff", "'; DROP TABLE products; --", `"unclosed`, "a & | ! ( ) :*", "%_\\",
		"\u0301", "\u0301 mug", "mug \u0301", "\"\u0301\"", "-\u0301",
		strings.Repeat("mug ", 5000), "🌊", "<script>"} {
		_, err := readSearch(t, s.Shop, query, 1)
		require.NoError(t, err, query)
	}

	nothing, err := readSearch(t, s.Shop, "zzzzqqqq", 1)
	require.NoError(t, err)
	require.Zero(t, nothing.Total)
}

func TestMoney_ReadsAsShoppersWriteIt(t *testing.T) {
	t.Parallel()

	for cents, text := range map[int64]string{0: "€0.00", 5: "€0.05", 490: "€4.90", 123450: "€1,234.50", 123456789: "€1,234,567.89",
		-490: "-€4.90"} {
		require.Equal(t, text, shop.Euros(cents).String())
	}
}
