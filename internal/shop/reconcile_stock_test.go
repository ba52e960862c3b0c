package shop_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/shop"
)

func TestReconcileStock_FindsNothingInAConsistentStore(t *testing.T) {
	t.Parallel()
	s, books := newBooks(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	s.held(t, sale)
	s.lapse(t, s.held(t, sale))
	_, err := s.PlaceOrder(t.Context(), s.reviewed(t, s.held(t, sale)))
	require.NoError(t, err)
	// Of a sale that is long over the holds are forgotten.
	forgotten := s.sale(t, s.variant(t, "kelp-soap", 60), 5)
	_, err = s.PlaceOrder(t.Context(), s.reviewed(t, s.held(t, forgotten)))
	require.NoError(t, err)
	_, err = s.db.Exec(t.Context(), `UPDATE flash_sales SET closed_at = now() - interval '25 hours' WHERE id = $1`, forgotten.ID)
	require.NoError(t, err)
	require.NoError(t, s.ForgetHolds(t.Context()))

	require.NoError(t, s.ReconcileStock(t.Context()))

	require.Empty(t, books.complaints())
	require.Equal(t, map[string]float64{"held": 0, "sold": 0, "ordered": 0, "orphan": 0}, books.counts(t))
	s.expect(t, sale, 1, 1)
}

func TestReconcileStock_CorrectsTheNumberOfHeldUnits(t *testing.T) {
	t.Parallel()
	for _, wrong := range []int{0, 7} {
		s, books := newBooks(t)
		sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
		s.held(t, sale)
		s.held(t, sale)
		s.exec(t, fmt.Sprintf(`UPDATE flash_sales SET held = %d, shown_version = version`, wrong))

		require.NoError(t, s.ReconcileStock(t.Context()))

		s.expect(t, sale, 2, 0)
		require.Contains(t, books.complaints(), fmt.Sprintf("rule=held sale=%d cart=\"\" counted=%d expected=2", sale.ID, wrong))
		require.Equal(t, map[string]float64{"held": 1, "sold": 0, "ordered": 0, "orphan": 0}, books.counts(t))
		require.NoError(t, s.ReconcileStock(t.Context()))
		require.Equal(t, 1, strings.Count(books.complaints(), "\n"), "it is right now")
		require.Equal(t, 1, s.count(t, `SELECT count(*) FROM flash_sales WHERE version > shown_version`), "open pages will be updated")
	}
}

func TestReconcileStock_ReportsSoldUnitsWithoutAHold(t *testing.T) {
	t.Parallel()
	s, books := newBooks(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	s.exec(t, `UPDATE flash_sales SET sold = 3`)

	require.NoError(t, s.ReconcileStock(t.Context()))

	require.Contains(t, books.complaints(), fmt.Sprintf("rule=sold sale=%d cart=\"\" counted=3 expected=0", sale.ID))
	require.Equal(t, map[string]float64{"held": 0, "sold": 1, "ordered": 0, "orphan": 0}, books.counts(t))
	require.Equal(t, 3, s.count(t, `SELECT sold FROM flash_sales`), "that is for people to decide")
}

func TestReconcileStock_ReportsSoldUnitsThatAreInNoOrder(t *testing.T) {
	t.Parallel()
	s, books := newBooks(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	cart := s.held(t, sale)
	_, err := s.PlaceOrder(t.Context(), s.reviewed(t, cart))
	require.NoError(t, err)
	s.exec(t, `UPDATE order_lines SET price_cents = price_cents + 1`)

	require.NoError(t, s.ReconcileStock(t.Context()))

	require.Contains(t, books.complaints(), fmt.Sprintf("rule=ordered sale=%d cart=%s counted=1 expected=0", sale.ID, cart))
	require.Equal(t, map[string]float64{"held": 0, "sold": 0, "ordered": 1, "orphan": 0}, books.counts(t))
}

func TestReconcileStock_ReportsHoldsWithoutACart(t *testing.T) {
	t.Parallel()
	s, books := newBooks(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 50)
	cart := s.held(t, sale)
	s.exec(t, `DELETE FROM carts`)

	require.NoError(t, s.ReconcileStock(t.Context()))

	require.Contains(t, books.complaints(), fmt.Sprintf("rule=orphan sale=%d cart=%s counted=1 expected=0", sale.ID, cart))
	require.Equal(t, map[string]float64{"held": 0, "sold": 0, "ordered": 0, "orphan": 1}, books.counts(t))
	s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 hour'`)
	require.NoError(t, s.TendSales(t.Context()))
	s.expect(t, sale, 0, 0)
}

func TestReconcileStock_IgnoresConcurrentBuyers(t *testing.T) {
	t.Parallel()
	s, books := newBooks(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 200), 100)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for range 2 {
		running.Go(func() {
			for ctx.Err() == nil {
				require.NoError(t, s.ReconcileStock(t.Context()))
			}
		})
	}

	var buyers sync.WaitGroup
	for i := range 60 {
		buyers.Go(func() {
			cart, claim := uuid.NewString(), uuid.NewString()
			require.NoError(t, s.HoldSaleUnit(t.Context(), claimOf(cart, sale.ID, claim)))
			if i%2 == 0 {
				require.NoError(t, s.GiveBackHold(t.Context(), cart, claim))
				return
			}
			require.NoError(t, s.SaveContact(t.Context(), cart, contact()))
			_, err := s.PlaceOrder(t.Context(), purchase(cart))
			require.NoError(t, err)
		})
	}
	buyers.Wait()
	cancel()
	running.Wait()

	require.Empty(t, books.complaints())
	s.expect(t, sale, 0, 30)
}

func TestReconcileStock_CorrectsDuringSales(t *testing.T) {
	t.Parallel()
	s, _ := newBooks(t)
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 200), 100)
	s.exec(t, `UPDATE flash_sales SET held = 9`)

	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { require.NoError(t, s.ReconcileStock(t.Context())) })
	}
	for range 40 {
		all.Go(func() {
			require.NoError(t, s.HoldSaleUnit(t.Context(), newClaim(sale)))
		})
	}
	all.Wait()

	s.expect(t, sale, 40, 0)
}

// books are the counts of a store.
type books struct {
	log      stacktest.Journal
	registry *prometheus.Registry
}

// newBooks is a store that writes its errors into books.
func newBooks(t *testing.T) (store, *books) {
	t.Helper()
	b := &books{registry: prometheus.NewRegistry()}
	s := newStore(t, func(options *shop.Options) {
		options.Log = slog.New(slog.NewTextHandler(&b.log, &slog.HandlerOptions{Level: slog.LevelError}))
		options.Registry = b.registry
	})
	return s, b
}

func (b *books) complaints() string { return b.log.String() }

// counts are the discrepancies so far, by rule.
func (b *books) counts(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := b.registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() == "shop_stock_discrepancies_total" {
			for _, metric := range family.GetMetric() {
				counts[metric.GetLabel()[0].GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	return counts
}
