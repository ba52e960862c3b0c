package shop_test

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/cache"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/shop"
	"slipway/internal/telemetry"
)

// cached is the store with a cache over the Redis at address.
func (s store) cached(t *testing.T, address string) *shop.Shop {
	t.Helper()
	catalogue, _ := s.cachedWith(t, address, cache.Options{})
	return catalogue
}

// cachedWith also returns where the cache counts.
func (s store) cachedWith(t *testing.T, address string, options cache.Options) (*shop.Shop, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	log := slog.New(slog.DiscardHandler)
	redis, err := failopen.Open(failopen.NewGuard(failopen.Options{URL: address, Timeout: 250 * time.Millisecond},
		telemetry.NewReporter(log, registry)))
	require.NoError(t, err)
	kept := cache.New(redis, options, registry)
	t.Cleanup(func() {
		kept.Close()
		require.NoError(t, redis.Close())
	})
	return shop.New(shop.Options{DB: s.db, Cache: kept, Redis: redis, Log: log, Registry: registry}), registry
}

// everyList is all that the catalogue's lists show.
func everyList(t *testing.T, catalogue *shop.Shop) string {
	t.Helper()
	categories, err := catalogue.Categories(t.Context())
	require.NoError(t, err)
	front, err := readFrontPage(t, catalogue)
	require.NoError(t, err)
	category, shelf, err := readCategory(t, catalogue, "galley", shop.SortPriceLow, 1)
	require.NoError(t, err)
	mug, err := readProduct(t, catalogue, "harbour-enamel-mug")
	require.NoError(t, err)
	related, err := readRelated(t, catalogue, mug.Slug, 4)
	require.NoError(t, err)
	results, err := readSearch(t, catalogue, "lantrn", 1)
	require.NoError(t, err)
	picture, err := catalogue.Picture(t.Context(), mug.Picture)
	require.NoError(t, err)
	return fmt.Sprintf("%+v", []any{categories, front, category, shelf, mug, related, results, picture})
}

func TestCatalogue_IsTheSameWithACacheAndWithout(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	expected := everyList(t, s.Shop)

	for _, address := range []string{"", redis.URL()} {
		catalogue := s.cached(t, address)
		require.Equal(t, expected, everyList(t, catalogue), "loaded")
		require.Equal(t, expected, everyList(t, catalogue), "cached")
	}
	require.Equal(t, expected, everyList(t, s.cached(t, redis.URL())), "made by another process")
	require.NoError(t, redis.Freeze())
	require.Equal(t, expected, everyList(t, s.cached(t, redis.URL())), "without Redis")
}

func TestCatalogue_CachesNeitherStockNorPrice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	catalogue := s.cached(t, "")
	everyList(t, catalogue)

	_, err := s.db.Exec(t.Context(), `UPDATE variants SET stock = 3, price_cents = price_cents + 7`)
	require.NoError(t, err)

	require.Equal(t, everyList(t, s.Shop), everyList(t, catalogue))
}

func TestCatalogue_CachesAbsence(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	catalogue := s.cached(t, "")

	for range 2 {
		_, _, err := readCategory(t, catalogue, "nowhere", shop.SortFeatured, 1)
		require.ErrorIs(t, err, shop.ErrNotFound)
		_, _, err = readCategory(t, catalogue, "galley", shop.SortFeatured, 99)
		require.ErrorIs(t, err, shop.ErrNotFound)
		_, _, err = readCategory(t, catalogue, "galley", shop.SortFeatured, 0)
		require.ErrorIs(t, err, shop.ErrNotFound)
		_, err = readSearch(t, catalogue, "mug", 99)
		require.ErrorIs(t, err, shop.ErrNotFound)
		_, err = catalogue.Picture(t.Context(), "no-such-picture")
		require.ErrorIs(t, err, shop.ErrNotFound)
	}
}

func TestCatalogue_LeavesADeletedProductOutOfCachedLists(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	catalogue := s.cached(t, "")
	before, err := readFrontPage(t, catalogue)
	require.NoError(t, err)
	gone := before.Featured[3]

	_, err = s.db.Exec(t.Context(), `DELETE FROM variants WHERE product_id = $1`, gone.ID)
	require.NoError(t, err)
	after, err := readFrontPage(t, catalogue)

	require.NoError(t, err)
	require.Len(t, after.Featured, 7)
	require.NotContains(t, after.Featured, gone)
}
