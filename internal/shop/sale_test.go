package shop_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/shop"
)

func TestCreateSale_SetsUnitsAsideFromStock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)

	sale := s.sale(t, mug, 50)

	require.Equal(t, 10, s.stockOf(t, mug))
	require.Equal(t, 50, sale.Left())
	require.Equal(t, shop.SaleOpen, sale.State)
	front, err := readFrontSale(t, s.Shop)
	require.NoError(t, err)
	require.Equal(t, sale, front)
	for range 2 { // the second time, it is expected
		require.Equal(t, sale, s.saleOf(t, "harbour-enamel-mug"))
	}
	require.Zero(t, s.saleOf(t, "headland-kettle"))
}

func TestSaleOf_IsGoneAnHourAfterItsEnd(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	require.Equal(t, sale.ID, s.saleOf(t, "harbour-enamel-mug").ID)

	s.exec(t, `UPDATE flash_sales SET starts_at = now() - interval '3 hours', ends_at = now() - interval '61 minutes'`)

	for range 2 {
		require.Zero(t, s.saleOf(t, "harbour-enamel-mug"))
	}
}

func TestCreateSale_RefusesInvalidTerms(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	good := terms(mug, 50)

	for name, spoil := range map[string]func(*shop.SaleTerms){
		"no units":              func(terms *shop.SaleTerms) { terms.Units = 0 },
		"nothing to pay":        func(terms *shop.SaleTerms) { terms.Price.Cents = 0 },
		"not lower":             func(terms *shop.SaleTerms) { terms.Price = mug.Price },
		"another currency":      func(terms *shop.SaleTerms) { terms.Price.Currency = "CHF" },
		"ends before it starts": func(terms *shop.SaleTerms) { terms.StartsAt = terms.EndsAt.Add(time.Second) },
		"is over":               func(terms *shop.SaleTerms) { terms.EndsAt = time.Now().Add(-time.Second) },
	} {
		spoiled := good
		spoil(&spoiled)
		_, err := s.CreateSale(t.Context(), spoiled)
		require.ErrorIs(t, err, shop.ErrSaleTerms, name)
	}
	tooMany := terms(mug, 61)
	_, err := s.CreateSale(t.Context(), tooMany)
	require.ErrorIs(t, err, shop.ErrSoldOut)
	nowhere := terms(mug, 1)
	nowhere.VariantID = 987654321
	_, err = s.CreateSale(t.Context(), nowhere)
	require.ErrorIs(t, err, shop.ErrNotFound)
	require.Equal(t, 60, s.stockOf(t, mug))

	s.sale(t, mug, 5)
	_, err = s.CreateSale(t.Context(), terms(mug, 5))
	require.ErrorIs(t, err, shop.ErrSaleExists)
	require.Equal(t, 55, s.stockOf(t, mug))
}

func TestFlashSales_TheDatabaseItselfRefusesToOversell(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)

	for _, statement := range []string{
		`UPDATE flash_sales SET held = -1 WHERE id = $1`,
		`UPDATE flash_sales SET sold = -1 WHERE id = $1`,
		`UPDATE flash_sales SET held = 51 WHERE id = $1`,
		`UPDATE flash_sales SET held = 1, sold = 50 WHERE id = $1`,
		`UPDATE flash_sales SET held = 1, closed_at = now() WHERE id = $1`,
		`UPDATE flash_sales SET ends_at = starts_at WHERE id = $1`,
	} {
		_, err := s.db.Exec(t.Context(), statement, sale.ID)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, statement)
		require.Equal(t, "23514", refused.Code, statement)
	}
}

func TestHoldSaleUnit_SellsAtTheSalesPriceFromTheSalesUnits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	sale := s.sale(t, mug, 50)
	cart := s.filledCart(t, mug, 2)

	require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, uuid.NewString())))
	filled, err := s.Cart(t.Context(), cart)
	require.NoError(t, err)
	require.Len(t, filled.Lines, 2)
	require.Equal(t, 3, filled.Units())
	require.Equal(t, mug.Price.Times(2).Plus(sale.Price), filled.Subtotal)
	units, err := readUnits(t, s.Shop, cart)
	require.NoError(t, err)
	require.Equal(t, 3, units)
	s.expect(t, sale, 1, 0)

	wish := purchase(cart)
	wish.Reviewed = shop.Review(filled, contact())
	order, err := s.PlaceOrder(t.Context(), wish)
	require.NoError(t, err)

	require.Equal(t, filled.Total, order.Total)
	require.Equal(t, s.gateway.authorized[0].Cents, order.Total.Cents)
	require.Equal(t, 8, s.stockOf(t, mug), "the sale's unit is not one of stock")
	s.expect(t, sale, 0, 1)
	require.NoError(t, s.SendOrderConfirmation(t.Context(), order.ID))
	mails, err := s.mails.List(10)
	require.NoError(t, err)
	require.Contains(t, mails[0].Text, sale.Price.String())
	empty, err := s.Cart(t.Context(), cart)
	require.NoError(t, err)
	require.Empty(t, empty.Lines)
}

func TestHoldSaleUnit_OneClaimHoldsOneUnitHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	s := newStore(t, func(options *shop.Options) { options.SaleLimit = 5 })
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	cart, claim := uuid.NewString(), uuid.NewString()

	results := make([]error, 8)
	var clicks sync.WaitGroup
	for i := range results {
		clicks.Go(func() { results[i] = s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, claim)) })
	}
	clicks.Wait()
	require.NoError(t, errors.Join(results...))
	s.expect(t, sale, 1, 0)

	require.NoError(t, s.SaveContact(t.Context(), cart, contact()))
	_, err := s.PlaceOrder(t.Context(), purchase(cart))
	require.NoError(t, err)
	require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, claim)), "also after it was bought")
	s.expect(t, sale, 0, 1)

	require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(uuid.NewString(), sale.ID, claim)), "another cart's claim is another one")
	s.expect(t, sale, 1, 1)
}

func TestHoldSaleUnit_OfTwoClaimsOfTheLastUnitOneIsSoldOut(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 2)
	_, err := s.PlaceOrder(t.Context(), purchase(s.held(t, sale)))
	require.NoError(t, err)
	s.expect(t, sale, 0, 1)
	blocking, err := s.db.Begin(t.Context())
	require.NoError(t, err)
	_, err = blocking.Exec(t.Context(), `SELECT FROM flash_sales WHERE id = $1 FOR UPDATE`, sale.ID)
	require.NoError(t, err)

	// Both have read that one unit is left when they ask for it.
	results := make([]error, 2)
	var claims sync.WaitGroup
	for i := range results {
		claims.Go(func() { results[i] = s.HoldSaleUnit(t.Context(), newClaim(sale)) })
	}
	stacktest.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == 2
	})
	require.NoError(t, blocking.Rollback(t.Context()))
	claims.Wait()

	if results[0] == nil {
		results[0], results[1] = results[1], results[0]
	}
	require.ErrorIs(t, results[0], shop.ErrSaleSoldOut)
	require.NoError(t, results[1])
	s.expect(t, sale, 1, 1)
}

func TestHoldSaleUnit_RespectsTheLimitOfACart(t *testing.T) {
	t.Parallel()
	s := newStore(t, func(options *shop.Options) { options.SaleLimit = 2 })
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	cart := uuid.NewString()

	results := make([]error, 10)
	var clicks sync.WaitGroup
	for i := range results {
		clicks.Go(func() {
			results[i] = s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, uuid.NewString()))
		})
	}
	clicks.Wait()

	refused := 0
	for _, err := range results {
		if err != nil {
			require.ErrorIs(t, err, shop.ErrSaleLimit)
			refused++
		}
	}
	require.Equal(t, 8, refused)
	s.expect(t, sale, 2, 0)
	require.NoError(t, s.SaveContact(t.Context(), cart, contact()))
	_, err := s.PlaceOrder(t.Context(), purchase(cart))
	require.NoError(t, err)
	require.ErrorIs(t, s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, uuid.NewString())), shop.ErrSaleLimit, "what was bought counts")
}

func TestHoldSaleUnit_NeedsAnOpenSale(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	later := terms(mug, 5)
	later.StartsAt = time.Now().Add(time.Minute)
	upcoming, err := s.CreateSale(t.Context(), later)
	require.NoError(t, err)

	hold := func(sale int64, claim string) error {
		return s.HoldSaleUnit(t.Context(), claimOf(uuid.NewString(), sale, claim))
	}
	require.ErrorIs(t, hold(upcoming.ID, uuid.NewString()), shop.ErrSaleClosed)
	require.ErrorIs(t, hold(987654321, uuid.NewString()), shop.ErrNotFound)
	require.ErrorIs(t, hold(upcoming.ID, "not a claim"), shop.ErrClaimID)

	s.exec(t, `UPDATE flash_sales SET starts_at = now() - interval '2 minutes', ends_at = now() - interval '1 minute'`)
	require.ErrorIs(t, hold(upcoming.ID, uuid.NewString()), shop.ErrSaleClosed)
	require.Zero(t, s.count(t, `SELECT count(*) FROM carts`), "who gets nothing leaves nothing behind")
}

func TestGiveBackHold_MakesTheUnitAvailable(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 1)
	ada, grace, claim := uuid.NewString(), uuid.NewString(), uuid.NewString()
	require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(ada, sale.ID, claim)))
	require.ErrorIs(t, s.HoldSaleUnit(t.Context(), claimOf(grace, sale.ID, uuid.NewString())), shop.ErrSaleSoldOut)

	require.NoError(t, s.GiveBackHold(t.Context(), grace, claim), "not hers to give")
	s.expect(t, sale, 1, 0)
	require.NoError(t, s.GiveBackHold(t.Context(), ada, claim))
	require.NoError(t, s.GiveBackHold(t.Context(), ada, claim))
	s.expect(t, sale, 0, 0)

	require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(grace, sale.ID, uuid.NewString())))
}

func TestHold_AnExpiredOneHasTheOrdinaryPriceAndANotice(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	sale := s.sale(t, mug, 50)
	cart := s.held(t, sale)
	s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 second'`)

	lapsed, err := s.Cart(t.Context(), cart)

	require.NoError(t, err)
	require.Len(t, lapsed.Lines, 1)
	require.Nil(t, lapsed.Lines[0].Hold)
	require.Equal(t, mug.Price, lapsed.Lines[0].Price())
	require.Equal(t, &sale.Price, lapsed.Lines[0].Lapsed)
	s.expect(t, sale, 0, 0)

	require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, uuid.NewString())))
	again, err := s.Cart(t.Context(), cart)
	require.NoError(t, err)
	require.Equal(t, 1, again.Units(), "held again, it does not lie in the cart twice")
	require.Equal(t, sale.Price, again.Lines[0].Price())
}

func TestPlaceOrder_SellsAHoldThatHasJustExpired(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 1)
	cart := s.held(t, sale)
	wish := s.reviewed(t, cart)
	s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '2 seconds'`)
	require.NoError(t, s.ReleaseHolds(t.Context()))
	require.ErrorIs(t, s.HoldSaleUnit(t.Context(), newClaim(sale)), shop.ErrSaleSoldOut)

	order, err := s.PlaceOrder(t.Context(), wish)

	require.NoError(t, err)
	require.Equal(t, sale.Price, order.Subtotal)
	s.expect(t, sale, 0, 1)
}

func TestPlaceOrder_RenewsAHoldThatLapsedWhileUnitsAreLeft(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	sale := s.sale(t, mug, 2)
	cart := s.held(t, sale)
	wish := s.reviewed(t, cart)
	s.lapse(t, cart)

	order, err := s.PlaceOrder(t.Context(), wish)

	require.NoError(t, err)
	require.Equal(t, sale.Price, order.Subtotal)
	require.Equal(t, 58, s.stockOf(t, mug))
	s.expect(t, sale, 0, 1)
}

func TestPlaceOrder_RenewsNoHoldThatIsPast(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"its sale has ended": `UPDATE flash_sales SET ends_at = now() - interval '1 second'`,
		"it lapsed long ago": `UPDATE sale_holds SET expires_at = now() - interval '10 minutes 1 second'`, // SaleHold is 10 minutes
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 2)
			cart := s.held(t, sale)
			wish := s.reviewed(t, cart)
			s.lapse(t, cart)
			s.exec(t, change)

			_, err := s.PlaceOrder(t.Context(), wish)

			require.ErrorIs(t, err, shop.ErrCartChanged)
			require.Empty(t, s.gateway.authorized)
			s.expect(t, sale, 0, 0)
		})
	}
}

func TestPlaceOrder_NeverChargesMoreThanWasReviewed(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 1)
	cart := s.held(t, sale)
	wish := s.reviewed(t, cart)
	s.lapse(t, cart)
	s.held(t, sale)

	_, err := s.PlaceOrder(t.Context(), wish)

	require.ErrorIs(t, err, shop.ErrCartChanged)
	require.Empty(t, s.gateway.authorized)
	s.expect(t, sale, 1, 0)
}

func TestPlaceOrder_RefusesWhenTheHoldLapsesWhileItIsPaid(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 1)
	cart := s.held(t, sale)
	s.gateway.whileAuthorizing = func() { s.lapse(t, cart) }

	_, err := s.PlaceOrder(t.Context(), s.reviewed(t, cart))

	require.ErrorIs(t, err, shop.ErrCartChanged)
	require.Len(t, s.gateway.voided, 1)
	require.Zero(t, s.count(t, `SELECT count(*) FROM orders`))
	s.expect(t, sale, 0, 0)
}

func TestHold_OrdersAndExpiryRaceForTheSameUnits(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 30)
	wishes := make([]shop.Purchase, 30)
	for i := range wishes {
		wishes[i] = s.reviewed(t, s.held(t, sale))
	}
	s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 minute'`)

	var racing sync.WaitGroup
	for range 3 {
		racing.Go(func() { require.NoError(t, s.ReleaseHolds(t.Context())) })
	}
	results := make([]error, len(wishes))
	for i, wish := range wishes {
		racing.Go(func() { _, results[i] = s.PlaceOrder(t.Context(), wish) })
		racing.Go(func() { _, _ = s.Cart(t.Context(), wish.CartID) })
	}
	racing.Wait()

	placed := 0
	for _, err := range results {
		if err == nil {
			placed++
			continue
		}
		require.ErrorIs(t, err, shop.ErrCartChanged)
	}
	require.NoError(t, s.ReleaseHolds(t.Context()))
	s.expect(t, sale, s.count(t, `SELECT count(*) FROM sale_holds WHERE state = 'held'`), placed)
	require.Equal(t, placed, s.count(t, `SELECT count(*) FROM orders`))
	require.Equal(t, placed, s.count(t, `SELECT count(*) FROM sale_holds WHERE state = 'sold'`))
}

func TestCloseSales_ReturnsUnsoldUnitsWhenNoneIsHeld(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	sale := s.sale(t, mug, 50)
	bought, held := s.reviewed(t, s.held(t, sale)), s.reviewed(t, s.held(t, sale))
	_, err := s.PlaceOrder(t.Context(), bought)
	require.NoError(t, err)
	s.exec(t, `UPDATE flash_sales SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 minute'`)

	require.NoError(t, s.CloseSales(t.Context()))
	require.Equal(t, 10, s.stockOf(t, mug), "a cart still holds a unit")
	_, err = s.PlaceOrder(t.Context(), held)
	require.NoError(t, err, "who held it in time may buy it")
	var closing sync.WaitGroup
	for range 4 {
		closing.Go(func() { require.NoError(t, s.CloseSales(t.Context())) })
	}
	closing.Wait()

	require.Equal(t, 58, s.stockOf(t, mug))
	s.expect(t, sale, 0, 2)
	over, err := readFrontSale(t, s.Shop)
	require.NoError(t, err)
	require.Equal(t, shop.SaleOver, over.State, "it is shown for a while")
	s.sale(t, mug, 5)
}

func TestSeedSale_CreatesASaleOnlyWhenTheLastIsOver(t *testing.T) {
	t.Parallel()
	s := newStore(t)

	first, made, err := s.SeedSale(t.Context())
	require.NoError(t, err)
	require.True(t, made)
	require.Equal(t, 50, first.Left())
	s.held(t, first)
	_, made, err = s.SeedSale(t.Context())
	require.NoError(t, err)
	require.False(t, made)
	s.expect(t, first, 1, 0)

	s.exec(t, `UPDATE flash_sales SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour'`)
	s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 hour'`)
	second, made, err := s.SeedSale(t.Context())
	require.NoError(t, err)
	require.True(t, made)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, 50, second.Left())
}

func TestRunSales_TendsSalesInAnyNumberOfProcesses(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	sale := s.sale(t, mug, 50)
	s.held(t, sale)
	s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 hour'`)
	s.exec(t, `UPDATE flash_sales SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour'`)

	stop := s.startWorkers(t, s.process(t, ""), s.process(t, ""), s.process(t, ""))
	stacktest.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM flash_sales WHERE closed_at IS NOT NULL AND shown_version = version`) == 1
	})
	stop()

	require.Equal(t, 60, s.stockOf(t, mug))
	require.Zero(t, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'tend_sales' AND errors IS NOT NULL`))
}

func TestTendSales_OpensAndClosesASaleByTheClock(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 60)
	soon := terms(mug, 50)
	soon.StartsAt, soon.EndsAt = time.Now().Add(2*time.Second), time.Now().Add(6*time.Second)
	_, err := s.CreateSale(t.Context(), soon)
	require.NoError(t, err)

	stop := s.startWorkers(t, s.process(t, ""), s.process(t, ""))
	defer stop()
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM flash_sales WHERE closed_at IS NOT NULL AND shown_version = version`) == 1
	}, time.Minute, 50*time.Millisecond)

	require.Zero(t, s.count(t, `SELECT count(*) FROM flash_sales WHERE opened_at < starts_at OR ended_at < ends_at`))
	var opened, ended time.Duration
	require.NoError(t, s.db.QueryRow(t.Context(), `SELECT opened_at - starts_at, ended_at - ends_at FROM flash_sales`).Scan(&opened, &ended))
	t.Logf("opened after %s, ended after %s", opened, ended)
	require.Equal(t, 60, s.stockOf(t, mug))
}

func TestForgetHolds_DoesNotDeleteHoldsOfRecentSales(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	old := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 5)
	recent := s.sale(t, s.variant(t, "kelp-soap", 60), 5)
	for _, sale := range []shop.Sale{old, recent} {
		_, err := s.PlaceOrder(t.Context(), s.reviewed(t, s.held(t, sale)))
		require.NoError(t, err)
		s.lapse(t, s.held(t, sale))
	}
	s.exec(t, `UPDATE flash_sales SET starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour'`)
	require.NoError(t, s.CloseSales(t.Context()))
	_, err := s.db.Exec(t.Context(), `UPDATE flash_sales SET closed_at = now() - interval '25 hours' WHERE id = $1`, old.ID)
	require.NoError(t, err)

	require.NoError(t, s.ForgetHolds(t.Context()))

	require.Zero(t, s.count(t, `SELECT count(*) FROM sale_holds WHERE sale_id = $1`, old.ID))
	require.Equal(t, 2, s.count(t, `SELECT count(*) FROM sale_holds WHERE sale_id = $1`, recent.ID))
}

// sale makes a sale of units of a variant that has begun.
func (s store) sale(t testing.TB, variant shop.Variant, units int) shop.Sale {
	t.Helper()
	sale, err := s.CreateSale(t.Context(), terms(variant, units))
	require.NoError(t, err)
	return sale
}

func terms(variant shop.Variant, units int) shop.SaleTerms {
	return shop.SaleTerms{
		VariantID: variant.ID, Price: shop.Euros(variant.Price.Cents / 2), Units: units,
		StartsAt: time.Now().Add(-time.Minute), EndsAt: time.Now().Add(time.Hour),
	}
}

func claimOf(cart string, saleID int64, id string) shop.Claim {
	return shop.Claim{ID: id, CartID: cart, SaleID: saleID}
}

// newClaim is the claim of a new cart.
func newClaim(sale shop.Sale) shop.Claim {
	return claimOf(uuid.NewString(), sale.ID, uuid.NewString())
}

// held is a cart, ready to buy, that holds a unit of a sale.
func (s store) held(t *testing.T, sale shop.Sale) string {
	t.Helper()
	cart := uuid.NewString()
	require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, uuid.NewString())))
	require.NoError(t, s.SaveContact(t.Context(), cart, contact()))
	return cart
}

// reviewed is the purchase of a cart as it is shown now.
func (s store) reviewed(t *testing.T, cart string) shop.Purchase {
	t.Helper()
	shown, err := s.Cart(t.Context(), cart)
	require.NoError(t, err)
	wish := purchase(cart)
	wish.Reviewed = shop.Review(shown, contact())
	return wish
}

// lapse ends the hold of a cart as TendSales does.
func (s store) lapse(t *testing.T, cart string) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), `UPDATE sale_holds SET expires_at = now() - interval '1 minute' WHERE cart_id = $1 AND state = 'held'`,
		cart)
	require.NoError(t, err)
	require.NoError(t, s.ReleaseHolds(t.Context()))
}

// expect asserts the count of a sale, and that its holds agree with it.
func (s store) expect(t *testing.T, sale shop.Sale, held, sold int) {
	t.Helper()
	require.Equal(t, held, s.count(t, `SELECT held FROM flash_sales WHERE id = $1`, sale.ID))
	require.Equal(t, sold, s.count(t, `SELECT sold FROM flash_sales WHERE id = $1`, sale.ID))
	require.Equal(t, held, s.count(t, `SELECT count(*) FROM sale_holds WHERE sale_id = $1 AND state = 'held'`, sale.ID))
	require.Equal(t, sold, s.count(t, `SELECT count(*) FROM sale_holds WHERE sale_id = $1 AND state = 'sold'`, sale.ID))
}

func (s store) exec(t *testing.T, statement string) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// saleOf reads a product and its sale.
func (s store) saleOf(t *testing.T, slug string) shop.Sale {
	t.Helper()
	sale, err := readPage(t, s.Shop, func(r *shop.Reads) *shop.Sale { return r.SaleOf(r.Product(slug), slug) })
	require.NoError(t, err)
	return sale
}
