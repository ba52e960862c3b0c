package shop_test

import (
	"testing"

	"slipway/internal/shop"
)

// readPage reads what one page needs of the database.
func readPage[T any](t testing.TB, s *shop.Shop, add func(r *shop.Reads) *T) (T, error) {
	t.Helper()
	reads := s.Reads()
	value := add(reads)
	err := reads.Do(t.Context())
	return *value, err
}

func readCategory(
	t testing.TB, s *shop.Shop, slug string, sort shop.Sort, page int,
) (category shop.Category, listing shop.Listing, err error) {
	t.Helper()
	return readPlace(t, s, slug, sort, shop.Place{Page: page})
}

func readPlace(
	t testing.TB, s *shop.Shop, slug string, sort shop.Sort, place shop.Place,
) (category shop.Category, listing shop.Listing, err error) {
	t.Helper()
	listing, err = readPage(t, s, func(r *shop.Reads) (listing *shop.Listing) {
		category, listing = r.Category(t.Context(), slug, sort, place)
		return listing
	})
	return category, listing, err
}

func readSearch(t testing.TB, s *shop.Shop, query string, page int) (shop.Listing, error) {
	t.Helper()
	return readPage(t, s, func(r *shop.Reads) *shop.Listing { return r.Search(t.Context(), query, shop.SortFeatured, page) })
}

func readFrontPage(t testing.TB, s *shop.Shop) (shop.FrontPage, error) {
	t.Helper()
	return readPage(t, s, func(r *shop.Reads) *shop.FrontPage {
		return r.FrontPage(t.Context(), shop.FeaturedInFront, shop.NewestInFront)
	})
}

func readProduct(t testing.TB, s *shop.Shop, slug string) (shop.Product, error) {
	t.Helper()
	return readPage(t, s, func(r *shop.Reads) *shop.Product { return r.Product(slug) })
}

func readRelated(t testing.TB, s *shop.Shop, slug string, limit int) ([]shop.Card, error) {
	t.Helper()
	return readPage(t, s, func(r *shop.Reads) *[]shop.Card { return r.Related(t.Context(), slug, limit) })
}

func readUnits(t testing.TB, s *shop.Shop, cart string) (int, error) {
	t.Helper()
	return readPage(t, s, func(r *shop.Reads) *int { return r.CartUnits(cart) })
}

func readFrontSale(t testing.TB, s *shop.Shop) (shop.Sale, error) {
	t.Helper()
	return readPage(t, s, (*shop.Reads).FrontSale)
}
