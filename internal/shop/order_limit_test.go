package shop_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/shop"
)

func TestOrderLimit_RefusesTheOrderAfterTheLast(t *testing.T) {
	t.Parallel()
	s := newStore(t, limitOrders(3))
	mug := s.variant(t, "harbour-enamel-mug", 9)
	for range 3 {
		_, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, mug, 1)))
		require.NoError(t, err)
	}
	refused := purchase(s.filledCart(t, mug, 1))

	_, err := s.PlaceOrder(t.Context(), refused)

	var tooMany *shop.TooManyOrdersError
	require.ErrorAs(t, err, &tooMany)
	require.ErrorIs(t, err, shop.ErrTooManyOrders)
	require.Greater(t, tooMany.RetryAfter, 10*time.Minute)
	require.LessOrEqual(t, tooMany.RetryAfter, 20*time.Minute)
	require.Equal(t, 6, s.stockOf(t, mug))
	require.Len(t, s.gateway.authorized, 3, "the gateway is not asked for an order that is refused")

	s.passTime(t, tooMany.RetryAfter)
	_, err = s.PlaceOrder(t.Context(), refused)
	require.NoError(t, err)
	_, err = s.PlaceOrder(t.Context(), purchase(s.filledCart(t, mug, 1)))
	require.ErrorIs(t, err, shop.ErrTooManyOrders, "one came back, not all")
}

func TestOrderLimit_IsExactForConcurrentOrders(t *testing.T) {
	t.Parallel()
	s := newStore(t, limitOrders(5))
	mug := s.variant(t, "harbour-enamel-mug", 100)
	carts := make([]string, 30)
	for i := range carts {
		carts[i] = s.filledCart(t, mug, 1)
	}

	results := make([]error, len(carts))
	var buyers sync.WaitGroup
	for i, cart := range carts {
		buyers.Go(func() { _, results[i] = s.PlaceOrder(t.Context(), purchase(cart)) })
	}
	buyers.Wait()

	placed := 0
	for _, err := range results {
		if err == nil {
			placed++
			continue
		}
		require.ErrorIs(t, err, shop.ErrTooManyOrders)
	}
	require.Equal(t, 5, placed)
	require.Equal(t, 95, s.stockOf(t, mug))
	require.Equal(t, 5, s.count(t, `SELECT count(*) FROM orders`))
	require.Len(t, s.gateway.voided, len(s.gateway.authorized)-5, "what was authorized for a refused order is given back")
}

func TestOrderLimit_CountsOrdersAndNotAttempts(t *testing.T) {
	t.Parallel()
	s := newStore(t, limitOrders(1))
	mug := s.variant(t, "harbour-enamel-mug", 1)
	wish := purchase(s.filledCart(t, mug, 1))
	s.variant(t, "harbour-enamel-mug", 0)
	_, err := s.PlaceOrder(t.Context(), wish)
	require.ErrorIs(t, err, shop.ErrSoldOut)
	s.variant(t, "harbour-enamel-mug", 1)
	wish.CheckoutKey = purchase("").CheckoutKey

	order, err := s.PlaceOrder(t.Context(), wish)
	require.NoError(t, err)
	again, err := s.PlaceOrder(t.Context(), wish)

	require.NoError(t, err, "the same order again is not another one")
	require.Equal(t, order.Token, again.Token)
}

func TestOrderLimit_CountsAllSpellingsOfAnAddressTogether(t *testing.T) {
	t.Parallel()
	s := newStore(t, limitOrders(1))
	mug := s.variant(t, "harbour-enamel-mug", 9)
	_, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, mug, 1)))
	require.NoError(t, err)

	for _, email := range []string{"ADA@Example.COM", " ada@example.com ", "ada@\uff25xample\uff0ecom"} {
		cart := s.filledCart(t, mug, 1)
		written := contact()
		written.Email = email
		require.NoError(t, s.SaveContact(t.Context(), cart, written))
		_, err = s.PlaceOrder(t.Context(), purchase(cart))
		require.ErrorIs(t, err, shop.ErrTooManyOrders, email)
	}
}

func TestOrderLimit_CountsByCartWhateverTheAddress(t *testing.T) {
	t.Parallel()
	s := newStore(t, limitOrders(1))
	mug := s.variant(t, "harbour-enamel-mug", 9)
	cart := s.filledCart(t, mug, 1)
	_, err := s.PlaceOrder(t.Context(), purchase(cart))
	require.NoError(t, err)
	_, err = s.AddToCart(t.Context(), cart, mug.ID, 1)
	require.NoError(t, err)
	other := contact()
	other.Email = "grace@example.com"
	require.NoError(t, s.SaveContact(t.Context(), cart, other))

	_, err = s.PlaceOrder(t.Context(), purchase(cart))

	require.ErrorIs(t, err, shop.ErrTooManyOrders)
}

func TestForgetOrderLimits_DeletesExpiredLimits(t *testing.T) {
	t.Parallel()
	s := newStore(t, limitOrders(2))
	mug := s.variant(t, "harbour-enamel-mug", 9)
	_, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, mug, 1)))
	require.NoError(t, err)

	require.NoError(t, s.ForgetOrderLimits(t.Context()))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM order_limits`))

	s.passTime(t, time.Hour)
	require.NoError(t, s.ForgetOrderLimits(t.Context()))
	require.Zero(t, s.count(t, `SELECT count(*) FROM order_limits`))
}

func TestForgetOrderLimits_WaitsForNoOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t, limitOrders(2))
	mug := s.variant(t, "harbour-enamel-mug", 9)
	_, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, mug, 1)))
	require.NoError(t, err)
	s.passTime(t, time.Hour)
	order, err := s.db.Begin(t.Context())
	require.NoError(t, err)
	defer order.Rollback(t.Context())
	_, err = order.Exec(t.Context(), `SELECT FROM order_limits WHERE subject LIKE 'email:%' FOR UPDATE`)
	require.NoError(t, err)

	// One that waited would hold the other row meanwhile, which the order wants
	// next.
	require.NoError(t, s.ForgetOrderLimits(t.Context()))

	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM order_limits`))
}

// limitOrders sets the OrderLimit of a store, in an hour.
func limitOrders(orders int) func(*shop.Options) {
	return func(options *shop.Options) { options.OrderLimit = shop.OrderLimit{Orders: orders, Period: time.Hour} }
}

// passTime does to the limits what waiting would.
func (s store) passTime(t *testing.T, wait time.Duration) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), `UPDATE order_limits SET used_up = used_up - $1::interval`, wait)
	require.NoError(t, err)
}
