package shop_test

import (
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"slipway/internal/shop"
)

func TestAddToCart_AddsToAnExistingLine(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)

	id, err := s.AddToCart(t.Context(), "", mug.ID, 2)
	require.NoError(t, err)
	again, err := s.AddToCart(t.Context(), id, mug.ID, 3)
	require.NoError(t, err)

	require.Equal(t, id, again)
	cart, err := s.Cart(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, cart.Lines, 1)
	require.Equal(t, 5, cart.Units())
	require.Equal(t, mug.Price.Times(5), cart.Subtotal)
}

func TestAddToCart_RefusesUnavailableUnits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 4)
	soldOut := s.variant(t, "kelp-soap", 0)
	many := s.variant(t, "manila-line", 100)

	for _, quantity := range []int{0, -1, 21, 1 << 40} {
		_, err := s.AddToCart(t.Context(), "", mug.ID, quantity)
		require.ErrorIs(t, err, shop.ErrQuantity)
	}

	_, err := s.AddToCart(t.Context(), "", soldOut.ID, 1)
	require.ErrorIs(t, err, shop.ErrSoldOut)

	_, err = s.AddToCart(t.Context(), "", 987654321, 1)
	require.ErrorIs(t, err, shop.ErrNotFound)

	id, err := s.AddToCart(t.Context(), "", mug.ID, 3)
	require.NoError(t, err)
	var short *shop.ShortError
	_, err = s.AddToCart(t.Context(), id, mug.ID, 2)
	require.ErrorAs(t, err, &short)
	require.Equal(t, 4, short.Left)

	_, err = s.AddToCart(t.Context(), id, many.ID, 20)
	require.NoError(t, err)
	_, err = s.AddToCart(t.Context(), id, many.ID, 1)
	require.ErrorIs(t, err, shop.ErrQuantity)
	units, err := readUnits(t, s.Shop, id)
	require.NoError(t, err)
	require.Equal(t, 23, units)
}

func TestAddToCart_LosesNothingWhenTwoTabsAddAtOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 100)
	id, err := s.AddToCart(t.Context(), "", mug.ID, 1)
	require.NoError(t, err)

	var tabs sync.WaitGroup
	for range 10 {
		tabs.Go(func() {
			_, err := s.AddToCart(t.Context(), id, mug.ID, 1)
			require.NoError(t, err)
		})
	}
	tabs.Wait()

	units, err := readUnits(t, s.Shop, id)
	require.NoError(t, err)
	require.Equal(t, 11, units)
}

func TestSetQuantity_ChangesAndRemoves(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	id, err := s.AddToCart(t.Context(), "", mug.ID, 2)
	require.NoError(t, err)

	require.NoError(t, s.SetQuantity(t.Context(), id, mug.ID, 7))
	units, err := readUnits(t, s.Shop, id)
	require.NoError(t, err)
	require.Equal(t, 7, units)

	require.ErrorIs(t, s.SetQuantity(t.Context(), id, mug.ID, 10), shop.ErrSoldOut)
	require.ErrorIs(t, s.SetQuantity(t.Context(), id, mug.ID, -1), shop.ErrQuantity)
	require.ErrorIs(t, s.SetQuantity(t.Context(), "", mug.ID, 1), shop.ErrNotFound)

	require.NoError(t, s.SetQuantity(t.Context(), id, mug.ID, 0))
	units, err = readUnits(t, s.Shop, id)
	require.NoError(t, err)
	require.Zero(t, units)
}

func TestCart_IsEmptyWhenUnknownOrOld(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	old, err := s.AddToCart(t.Context(), "", mug.ID, 2)
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `UPDATE carts SET updated_at = now() - interval '31 days' WHERE id = $1`, old)
	require.NoError(t, err)

	for _, id := range []string{"", uuid.NewString(), old} {
		cart, err := s.Cart(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, cart.Lines)
		require.Zero(t, cart.Total.Cents)
	}

	// What an old cart held does not come back with the next thing put in.
	_, err = s.AddToCart(t.Context(), old, mug.ID, 1)
	require.NoError(t, err)
	units, err := readUnits(t, s.Shop, old)
	require.NoError(t, err)
	require.Equal(t, 1, units)
}

func TestCart_ShipsFreeFromTheThreshold(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 20)
	id, err := s.AddToCart(t.Context(), "", mug.ID, 1)
	require.NoError(t, err)

	for price, shipping := range map[int64]int64{5999: 490, 6000: 0, 6001: 0} {
		_, err = s.db.Exec(t.Context(), `UPDATE variants SET price_cents = $2 WHERE id = $1`, mug.ID, price)
		require.NoError(t, err)
		cart, err := s.Cart(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, shop.Euros(shipping), cart.Shipping)
		require.Equal(t, shop.Euros(price+shipping), cart.Total)
		require.Equal(t, shop.Euros(max(0, 6000-price)), cart.MissingForFreeShipping())
	}
}
