package shop_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/shop"
)

// fair is the fairness that the settings have by default.
func fair(options *shop.Options) {
	options.SaleFairness = shop.SaleFairness{PerAddress: 5, ShortestHold: 2 * time.Minute}
}

func TestHoldSaleUnit_OneAddressHoldsOnlyAFewUnpaidUnits(t *testing.T) {
	t.Parallel()
	s := newStore(t, fair)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	first := claimAt(sale, "one")
	require.NoError(t, s.HoldSaleUnit(t.Context(), first))

	results := make([]error, 40)
	var claims sync.WaitGroup
	for i := range results {
		claims.Go(func() { results[i] = s.HoldSaleUnit(t.Context(), claimAt(sale, "one")) })
	}
	claims.Wait()

	refused := 0
	for _, err := range results {
		if err != nil {
			require.ErrorIs(t, err, shop.ErrSaleAddressLimit)
			refused++
		}
	}
	require.Equal(t, 36, refused)
	s.expect(t, sale, 5, 0)
	require.NoError(t, s.HoldSaleUnit(t.Context(), first), "a repeated claim has its unit already")
	require.NoError(t, s.HoldSaleUnit(t.Context(), claimAt(sale, "another")))
	require.NoError(t, s.HoldSaleUnit(t.Context(), claimAt(sale, "")))
}

func TestHoldSaleUnit_PaidUnitsDoNotCountForAnAddress(t *testing.T) {
	t.Parallel()
	s := newStore(t, fair)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)

	for range 12 {
		claim := claimAt(sale, "an office")
		require.NoError(t, s.HoldSaleUnit(t.Context(), claim))
		require.NoError(t, s.SaveContact(t.Context(), claim.CartID, contact()))
		_, err := s.PlaceOrder(t.Context(), s.reviewed(t, claim.CartID))
		require.NoError(t, err)
	}

	s.expect(t, sale, 0, 12)
}

func TestHoldSaleUnit_ExpiredHoldsDoNotCountForAnAddress(t *testing.T) {
	t.Parallel()
	s := newStore(t, fair)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	for range 5 {
		require.NoError(t, s.HoldSaleUnit(t.Context(), claimAt(sale, "one")))
	}
	s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 minute'`) // no worker has ended them yet

	require.NoError(t, s.HoldSaleUnit(t.Context(), claimAt(sale, "one")))

	s.expect(t, sale, 6, 0)
}

func TestHoldSaleUnit_AnAddressHoldsAtMostAFifthOfASale(t *testing.T) {
	t.Parallel()
	for name, expected := range map[string]struct{ units, perCart, held int }{
		"a small sale":            {10, 1, 2},
		"a tiny sale":             {3, 1, 1},
		"never less than a cart":  {10, 3, 3},
		"never more than the set": {60, 1, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, fair, func(options *shop.Options) { options.SaleLimit = expected.perCart })
			sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), expected.units)

			held := 0
			for range 8 {
				if s.HoldSaleUnit(t.Context(), claimAt(sale, "one")) == nil {
					held++
				}
			}

			require.Equal(t, expected.held, held)
		})
	}
}

func TestHoldSaleUnit_HoldsOfACartThatEndUnpaidBecomeShorter(t *testing.T) {
	t.Parallel()
	s := newStore(t, fair)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	claim := claimAt(sale, "one")
	end := map[string]func(){
		"it lapses":     func() { s.lapse(t, claim.CartID) },
		"it comes back": func() { require.NoError(t, s.GiveBackHold(t.Context(), claim.CartID, claim.ID)) },
	}

	for i, expected := range []struct {
		minutes float64
		end     string
	}{{10, "it comes back"}, {5, "it lapses"}, {2.5, "it comes back"}, {2, "it lapses"}, {2, "it lapses"}} {
		require.NoError(t, s.HoldSaleUnit(t.Context(), claim))
		require.InDelta(t, expected.minutes, s.minutesLeft(t, claim), 0.01, i)
		end[expected.end]()
	}
	s.expect(t, sale, 0, 0)
}

func TestHoldSaleUnit_HoldsOfAnAddressThatEndUnpaidBecomeShorter(t *testing.T) {
	t.Parallel()
	s := newStore(t, fair)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)

	// Five lapses of one household halve nothing but the holds of their own carts.
	for i, minutes := range []float64{10, 10, 10, 10, 10, 5, 5, 5, 5, 5, 2.5} {
		claim := claimAt(sale, "one")
		require.NoError(t, s.HoldSaleUnit(t.Context(), claim))
		require.InDelta(t, minutes, s.minutesLeft(t, claim), 0.01, i)
		s.lapse(t, claim.CartID)
	}

	other := claimAt(sale, "another")
	require.NoError(t, s.HoldSaleUnit(t.Context(), other))
	require.InDelta(t, 10, s.minutesLeft(t, other), 0.01)
}

func TestPlaceOrder_RenewsNoMoreHoldsThanAnAddressMayHave(t *testing.T) {
	t.Parallel()
	s := newStore(t, fair)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 10)
	lapsed := claimAt(sale, "one")
	require.NoError(t, s.HoldSaleUnit(t.Context(), lapsed))
	require.NoError(t, s.SaveContact(t.Context(), lapsed.CartID, contact()))
	wish := s.reviewed(t, lapsed.CartID)
	s.lapse(t, lapsed.CartID)
	var held []shop.Claim
	for range 2 {
		claim := claimAt(sale, "one")
		require.NoError(t, s.HoldSaleUnit(t.Context(), claim))
		held = append(held, claim)
	}

	_, err := s.PlaceOrder(t.Context(), wish)
	require.ErrorIs(t, err, shop.ErrCartChanged)
	s.expect(t, sale, 2, 0)

	require.NoError(t, s.GiveBackHold(t.Context(), held[0].CartID, held[0].ID))
	_, err = s.PlaceOrder(t.Context(), wish)
	require.NoError(t, err)
	s.expect(t, sale, 1, 1)
}

func TestForgetHolds_ForgetsLapsesOfClosedSales(t *testing.T) {
	t.Parallel()
	s := newStore(t, fair)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	claim := claimAt(sale, "one")
	require.NoError(t, s.HoldSaleUnit(t.Context(), claim))
	s.lapse(t, claim.CartID)

	require.NoError(t, s.ForgetHolds(t.Context()))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM sale_lapses`))
	s.exec(t, `UPDATE flash_sales SET closed_at = now() - interval '25 hours'`)
	require.NoError(t, s.ForgetHolds(t.Context()))

	require.Zero(t, s.count(t, `SELECT count(*) FROM sale_lapses`))
}

// Private

// claimAt is the claim of a new cart at an address.
func claimAt(sale shop.Sale, holder string) shop.Claim {
	claim := newClaim(sale)
	claim.Holder = holder
	return claim
}

// minutesLeft is how long the hold of a claim still lasts.
func (s store) minutesLeft(t *testing.T, claim shop.Claim) float64 {
	t.Helper()
	cart, err := s.Cart(t.Context(), claim.CartID)
	require.NoError(t, err)
	for _, line := range cart.Lines {
		if line.Hold != nil && line.Hold.ClaimID == claim.ID {
			return time.Until(line.Hold.ExpiresAt).Minutes()
		}
	}
	require.Fail(t, "the cart holds no unit of the claim")
	return 0
}
