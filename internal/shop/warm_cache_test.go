package shop_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/cache"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/shop"
)

func TestWarmCache_SparesTheFirstShopperAWait(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	warmer, _ := s.cachedWith(t, redis.URL(), cache.Options{Renew: true})
	require.NoError(t, warmer.WarmCache(t.Context()))

	catalogue, registry := s.cachedWith(t, redis.URL(), cache.Options{})
	categories, err := catalogue.Categories(t.Context())
	require.NoError(t, err)
	require.Len(t, categories, 6)
	_, err = readFrontPage(t, catalogue)
	require.NoError(t, err)
	for _, category := range append(categories, shop.Everything) {
		_, _, err = readCategory(t, catalogue, category.Slug, shop.SortFeatured, 1)
		require.NoError(t, err)
	}

	require.Equal(t, map[string]float64{"categories hit": 1, "lists hit": 2, "shelves hit": 7}, requestsOf(t, registry))
}

func TestWarmCache_WorksWithoutRedis(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	require.NoError(t, redis.Freeze())
	warmer, _ := s.cachedWith(t, redis.URL(), cache.Options{Renew: true})

	require.NoError(t, warmer.WarmCache(t.Context()))
}

// requestsOf are the counts of a cache by kind and result.
func requestsOf(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "app_cache_requests_total" {
			for _, metric := range family.GetMetric() {
				counts[metric.GetLabel()[0].GetValue()+" "+metric.GetLabel()[1].GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	return counts
}
