package shop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"slipway/internal/payment"
	"slipway/internal/shop"
)

func TestPlaceOrder_CommitsOrderStockAndJobsTogether(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 5)
	cart := s.filledCart(t, mug, 2)

	order, err := s.PlaceOrder(t.Context(), purchase(cart))

	require.NoError(t, err)
	require.Equal(t, 3, s.stockOf(t, mug))
	require.Equal(t, mug.Price.Times(2), order.Subtotal)
	require.Equal(t, order.Subtotal.Plus(order.Shipping), order.Total)
	require.Len(t, order.Token, 26)
	for _, kind := range []string{"send_order_confirmation", "capture_payment"} {
		jobs := s.count(t, `SELECT count(*) FROM river_job WHERE kind = $2 AND (args->>'order_id')::bigint = $1`, order.ID, kind)
		require.Equal(t, 1, jobs, kind)
	}
	units, err := readUnits(t, s.Shop, cart)
	require.NoError(t, err)
	require.Zero(t, units)
}

func TestPlaceOrder_LeavesNothingBehindWhenItsJobCannotBeEnqueued(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 5)
	cart := s.filledCart(t, mug, 2)
	_, err := s.db.Exec(t.Context(), `ALTER TABLE river_job RENAME TO river_job_away`)
	require.NoError(t, err)

	_, err = s.PlaceOrder(t.Context(), purchase(cart))

	require.Error(t, err)
	require.Equal(t, 5, s.stockOf(t, mug))
	require.Zero(t, s.count(t, `SELECT count(*) FROM orders`))
	units, err := readUnits(t, s.Shop, cart)
	require.NoError(t, err)
	require.Equal(t, 2, units)
	require.Empty(t, s.gateway.voided, "in doubt an authorization lapses by itself")
}

func TestPlaceOrder_NeverOversells(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 3)
	carts := make([]string, 20)
	for i := range carts {
		carts[i] = s.filledCart(t, mug, 1)
	}

	results := make([]error, len(carts))
	var buyers sync.WaitGroup
	for i, cart := range carts {
		buyers.Go(func() { _, results[i] = s.PlaceOrder(t.Context(), purchase(cart)) })
	}
	buyers.Wait()

	sold := 0
	for _, err := range results {
		if err == nil {
			sold++
			continue
		}
		require.ErrorIs(t, err, shop.ErrSoldOut)
	}
	require.Equal(t, 3, sold)
	require.Zero(t, s.stockOf(t, mug))
	require.Equal(t, 3, s.count(t, `SELECT count(*) FROM orders`))
	require.Equal(t, 3, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'send_order_confirmation'`))
	require.Len(t, s.gateway.voided, 17)
}

func TestPlaceOrder_TakesAllLinesOrNone(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 5)
	soap := s.variant(t, "kelp-soap", 5)
	cart := s.filledCart(t, mug, 2)
	_, err := s.AddToCart(t.Context(), cart, soap.ID, 3)
	require.NoError(t, err)
	s.variant(t, "kelp-soap", 1)

	_, err = s.PlaceOrder(t.Context(), purchase(cart))

	var short *shop.ShortError
	require.ErrorAs(t, err, &short)
	require.Equal(t, soap.ID, short.VariantID)
	require.Equal(t, 1, short.Left)
	require.Equal(t, 5, s.stockOf(t, mug))
	require.Equal(t, 1, s.stockOf(t, soap))
}

func TestPlaceOrder_OfTwoVariantsInOppositeOrderDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 1000)
	soap := s.variant(t, "kelp-soap", 1000)
	var carts []string
	for i := range 20 {
		first, second := mug, soap
		if i%2 == 1 {
			first, second = soap, mug
		}
		cart := s.filledCart(t, first, 1)
		_, err := s.AddToCart(t.Context(), cart, second.ID, 1)
		require.NoError(t, err)
		carts = append(carts, cart)
	}

	results := make([]error, len(carts))
	var buyers sync.WaitGroup
	for i, cart := range carts {
		buyers.Go(func() { _, results[i] = s.PlaceOrder(t.Context(), purchase(cart)) })
	}
	buyers.Wait()

	require.NoError(t, errors.Join(results...))
	require.Equal(t, 980, s.stockOf(t, mug))
	require.Equal(t, 980, s.stockOf(t, soap))
}

func TestPlaceOrder_OneKeyMakesOneOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	wish := purchase(s.filledCart(t, mug, 1))

	orders := make([]shop.Order, 8)
	results := make([]error, len(orders))
	var clicks sync.WaitGroup
	for i := range orders {
		clicks.Go(func() { orders[i], results[i] = s.PlaceOrder(t.Context(), wish) })
	}
	clicks.Wait()

	require.NoError(t, errors.Join(results...))
	for _, order := range orders {
		require.Equal(t, orders[0].Token, order.Token)
	}
	require.Equal(t, 8, s.stockOf(t, mug))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM orders`))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'send_order_confirmation'`))
	require.Empty(t, s.gateway.voided)
}

func TestPlaceOrder_TwoTabsWithOneCartMakeOneOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	cart := s.filledCart(t, mug, 2)

	results := make([]error, 2)
	var tabs sync.WaitGroup
	for i := range results {
		tabs.Go(func() { _, results[i] = s.PlaceOrder(t.Context(), purchase(cart)) })
	}
	tabs.Wait()

	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM orders`))
	require.Equal(t, 7, s.stockOf(t, mug))
	if results[0] == nil {
		results[0], results[1] = results[1], results[0]
	}
	require.NoError(t, results[1])
	require.True(t, errors.Is(results[0], shop.ErrCartEmpty) || errors.Is(results[0], shop.ErrCartChanged), results[0])
}

func TestPlaceOrder_RefusesACartThatHasChangedSinceTheReview(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	wish := purchase(s.filledCart(t, mug, 1))
	reviewed, err := s.Cart(t.Context(), wish.CartID)
	require.NoError(t, err)
	wish.Reviewed = shop.Review(reviewed, contact())
	_, err = s.db.Exec(t.Context(), `UPDATE variants SET price_cents = price_cents + 1 WHERE id = $1`, mug.ID)
	require.NoError(t, err)

	_, err = s.PlaceOrder(t.Context(), wish)

	require.ErrorIs(t, err, shop.ErrCartChanged)
	require.Empty(t, s.gateway.authorized)
	require.Equal(t, 9, s.stockOf(t, mug))
}

func TestPlaceOrder_RefusesAnAddressThatWasNotReviewed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	wish := purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1))
	cart, err := s.Cart(t.Context(), wish.CartID)
	require.NoError(t, err)
	wish.Reviewed = shop.Review(cart, contact())
	moved := contact()
	moved.Street = "Elsewhere 2"
	require.NoError(t, s.SaveContact(t.Context(), wish.CartID, moved))

	_, err = s.PlaceOrder(t.Context(), wish)

	require.ErrorIs(t, err, shop.ErrCartChanged)
	require.Zero(t, s.count(t, `SELECT count(*) FROM orders`))
}

func TestPlaceOrder_NeverUsesAVoidedAuthorization(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 2)
	wish := purchase(s.filledCart(t, mug, 2))
	s.variant(t, "harbour-enamel-mug", 1)
	_, err := s.PlaceOrder(t.Context(), wish)
	require.ErrorIs(t, err, shop.ErrSoldOut)
	require.Len(t, s.gateway.voided, 1)
	s.variant(t, "harbour-enamel-mug", 2)

	_, err = s.PlaceOrder(t.Context(), wish) // the browser's Back button

	require.ErrorIs(t, err, shop.ErrCheckoutKey)
	_, err = s.PlaceOrder(t.Context(), purchase(wish.CartID))
	require.NoError(t, err)
	require.Zero(t, s.count(t, `SELECT count(*) FROM orders WHERE payment_id IN (SELECT payment_id FROM voided_payments)`))
}

func TestGiveBack_VoidsNoAuthorizationThatBecameAnOrder(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	wish := purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 2), 1))
	order, err := s.PlaceOrder(t.Context(), wish)
	require.NoError(t, err)
	var authorization payment.Authorization
	require.NoError(t, s.db.QueryRow(t.Context(), `SELECT payment_id FROM orders`).Scan(&authorization.ID))

	s.GiveBack(t.Context(), wish, authorization) // as a slower request with the same key does

	require.Empty(t, s.gateway.voided)
	require.Zero(t, s.count(t, `SELECT count(*) FROM voided_payments`))
	require.NoError(t, s.CapturePayment(t.Context(), order.ID))
}

func TestReview_ChangesWithEachThingThatTheShopperAgreesTo(t *testing.T) {
	t.Parallel()
	line := func(variant int64, cents int64, quantity int) shop.CartLine {
		return shop.CartLine{Variant: shop.Variant{ID: variant, Price: shop.Euros(cents)}, Quantity: quantity}
	}
	cart := func(lines ...shop.CartLine) shop.Cart { return shop.Cart{Lines: lines, Total: shop.Euros(3000)} }
	dearer := cart(line(1, 1000, 1), line(2, 2000, 1))
	dearer.Total.Cents++
	francs := cart(line(1, 1000, 1), line(2, 2000, 1))
	francs.Lines[0].Variant.Price.Currency = "CHF"
	elsewhere := contact()
	elsewhere.City = "Graz"
	shown := shop.Review(cart(line(1, 1000, 1), line(2, 2000, 1)), contact())

	for change, review := range map[string]string{
		"prices with the same total": shop.Review(cart(line(1, 1500, 1), line(2, 1500, 1)), contact()),
		"a currency":                 shop.Review(francs, contact()),
		"a variant":                  shop.Review(cart(line(1, 1000, 1), line(3, 2000, 1)), contact()),
		"a quantity":                 shop.Review(cart(line(1, 1000, 2), line(2, 2000, 1)), contact()),
		"a line":                     shop.Review(cart(line(2, 2000, 1)), contact()),
		"the total, as by shipping":  shop.Review(dearer, contact()),
		"the address":                shop.Review(cart(line(1, 1000, 1), line(2, 2000, 1)), elsewhere),
	} {
		require.NotEqual(t, shown, review, change)
	}
	require.Equal(t, shown, shop.Review(cart(line(1, 1000, 1), line(2, 2000, 1)), contact()))
}

func TestPlaceOrder_KeepsTheAuthorizationWhenTheOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 5)
	wish := purchase(s.filledCart(t, mug, 1))
	blocking, err := s.db.Begin(t.Context())
	require.NoError(t, err)
	_, err = blocking.Exec(t.Context(), `SELECT FROM variants WHERE id = $1 FOR UPDATE`, mug.ID)
	require.NoError(t, err)
	hurried, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()

	_, err = s.PlaceOrder(hurried, wish)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NoError(t, blocking.Rollback(t.Context()))
	_, err = s.PlaceOrder(t.Context(), wish)

	require.NoError(t, err)
	require.Empty(t, s.gateway.voided)
}

func TestPlaceOrder_AnotherShoppersKeyFindsNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	wish := purchase(s.filledCart(t, mug, 1))
	_, err := s.PlaceOrder(t.Context(), wish)
	require.NoError(t, err)

	stolen := wish
	stolen.CartID = s.filledCart(t, mug, 1)
	_, err = s.PlaceOrder(t.Context(), stolen)
	require.ErrorIs(t, err, shop.ErrCheckoutKey)
	stolen.CartID = ""
	_, err = s.PlaceOrder(t.Context(), stolen)
	require.ErrorIs(t, err, shop.ErrCartEmpty)
}

func TestPlaceOrder_ChangesNothingWhenThePaymentFails(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	cart := s.filledCart(t, mug, 1)

	for card, expected := range map[string]error{
		"4000 0000 0000 0002": payment.ErrDeclined,
		"4000 0000 0000 0341": payment.ErrUnconfirmed,
		"1234":                payment.ErrCard,
		"":                    payment.ErrCard,
	} {
		wish := purchase(cart)
		wish.Card = card
		_, err := s.PlaceOrder(t.Context(), wish)
		require.ErrorIs(t, err, expected)
	}

	require.Equal(t, 9, s.stockOf(t, mug))
	require.Zero(t, s.count(t, `SELECT count(*) FROM orders`))
	require.Zero(t, s.count(t, `SELECT count(*) FROM river_job`))
	units, err := readUnits(t, s.Shop, cart)
	require.NoError(t, err)
	require.Equal(t, 1, units)
}

func TestPlaceOrder_SucceedsWithTheSameKeyAfterAGatewayTimeout(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	wish := purchase(s.filledCart(t, mug, 1))
	wish.Card = "4000 0000 0000 0341"
	_, err := s.PlaceOrder(t.Context(), wish)
	require.ErrorIs(t, err, payment.ErrUnconfirmed)

	wish.Card = workingCard
	_, err = s.PlaceOrder(t.Context(), wish)

	require.NoError(t, err)
	require.Equal(t, s.gateway.authorized[0].Key, s.gateway.authorized[1].Key)
}

func TestPlaceOrder_NeedsACartAContactAndAKey(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	full := s.filledCart(t, mug, 1)
	withoutContact, err := s.AddToCart(t.Context(), "", mug.ID, 1)
	require.NoError(t, err)

	_, err = s.PlaceOrder(t.Context(), purchase(""))
	require.ErrorIs(t, err, shop.ErrCartEmpty)

	_, err = s.PlaceOrder(t.Context(), purchase(uuid.NewString()))
	require.ErrorIs(t, err, shop.ErrCartEmpty)

	var problems shop.ContactProblems
	_, err = s.PlaceOrder(t.Context(), purchase(withoutContact))
	require.ErrorAs(t, err, &problems)

	for _, key := range []string{"", "1", "'; DROP TABLE orders; --", "{" + uuid.NewString() + "}", "urn:uuid:" + uuid.NewString()} {
		wish := purchase(full)
		wish.CheckoutKey = key
		_, err = s.PlaceOrder(t.Context(), wish)
		require.ErrorIs(t, err, shop.ErrCheckoutKey)
	}
}

func TestCapturePayment_TakesTheMoneyOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	order, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)))
	require.NoError(t, err)

	require.NoError(t, s.CapturePayment(t.Context(), order.ID))
	require.NoError(t, s.CapturePayment(t.Context(), order.ID))

	require.Len(t, s.gateway.captured, 1)
	paid, err := s.Order(t.Context(), order.Token)
	require.NoError(t, err)
	require.Equal(t, shop.OrderPaid, paid.State)
	require.NoError(t, testutil.GatherAndCompare(s.options.Registry.(*prometheus.Registry), strings.NewReader(fmt.Sprintf(`
		# HELP shop_revenue_minor_units_total Money that was captured for orders, in the smallest unit of the currency, such as cents.
		# TYPE shop_revenue_minor_units_total counter
		shop_revenue_minor_units_total{currency="EUR"} %d
	`, order.Total.Cents)), "shop_revenue_minor_units_total"))
}

func TestSendOrderConfirmation_SendsOneMailHoweverOftenItRuns(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	order, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 2)))
	require.NoError(t, err)

	require.NoError(t, s.SendOrderConfirmation(t.Context(), order.ID))
	require.NoError(t, s.SendOrderConfirmation(t.Context(), order.ID))

	mails, err := s.mails.List(10)
	require.NoError(t, err)
	require.Len(t, mails, 1)
	require.Contains(t, mails[0].To, "ada@example.com")
	require.Contains(t, mails[0].Subject, order.Number)
	for _, part := range []string{mails[0].Text, mails[0].HTML} {
		require.Contains(t, part, "https://leeward.example/orders/"+order.Token)
		require.Contains(t, part, "Harbour Enamel Mug")
		require.Contains(t, part, order.Total.String())
	}
}
