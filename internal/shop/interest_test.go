package shop_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/shop"
)

func TestInterest_CountsVisitorsCartsAndSoldUnits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	soap := s.variant(t, "kelp-soap", 100)
	for range 2 {
		_, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, soap, 3)))
		require.NoError(t, err)
	}
	for range 4 {
		s.filledCart(t, soap, 1)
	}
	_, err := s.db.Exec(t.Context(), `UPDATE carts SET updated_at = now() - interval '25 hours' WHERE id = $1`, s.filledCart(t, soap, 1))
	require.NoError(t, err)
	catalogue := s.cached(t, redis.URL())

	var interest shop.Interest
	for i := range 5 {
		interest = catalogue.Look(t.Context(), soap.ProductID, fmt.Sprint("visitor ", i))
	}

	require.Equal(t, shop.Interest{Looking: 5, Carts: 4, Sold: 6}, interest)
	require.Equal(t, interest, catalogue.Interest(t.Context(), soap.ProductID))
	require.Equal(t, interest, s.cached(t, redis.URL()).Interest(t.Context(), soap.ProductID), "in another process")
	require.Zero(t, catalogue.Interest(t.Context(), soap.ProductID+1))
}

func TestInterest_WithoutRedisReturnsTheLastCount(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	soap := s.variant(t, "kelp-soap", 100)
	for range 4 {
		s.filledCart(t, soap, 1)
	}
	catalogue, stranger := s.cached(t, redis.URL()), s.cached(t, redis.URL())
	for i := range 3 {
		catalogue.Look(t.Context(), soap.ProductID, fmt.Sprint("visitor ", i))
	}

	require.NoError(t, redis.Freeze())

	for range 5 {
		require.Equal(t, shop.Interest{Looking: 3, Carts: 4}, catalogue.Look(t.Context(), soap.ProductID, "one more"))
	}
	stacktest.Eventually(t, func() bool {
		interest := stranger.Interest(t.Context(), soap.ProductID)
		require.Zero(t, interest.Looking, "nothing, where nothing was known")
		return interest.Carts == 4
	})
}

func TestInterest_WithoutACacheThereIsNone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	soap := s.variant(t, "kelp-soap", 100)
	s.filledCart(t, soap, 1)

	require.Zero(t, s.Look(t.Context(), soap.ProductID, "ada"))
}

func TestInterest_WithoutPostgreSQLNothingFails(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	catalogue := s.cached(t, redis.URL())
	_, err := s.db.Exec(t.Context(), `ALTER TABLE carts RENAME TO away`)
	require.NoError(t, err)

	require.Equal(t, shop.Interest{Looking: 1}, catalogue.Look(t.Context(), 1, "ada"))
}
