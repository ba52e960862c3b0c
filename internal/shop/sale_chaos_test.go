package shop_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/failopen/failopentest"
	"slipway/internal/shop"
)

func TestMain(m *testing.M) {
	failopen.LogThrough(func(string, error) {})
	m.Run()
}

// Five hundred buyers want fifty units, through two processes, while something
// happens to Redis. Some buyers who get one do not buy it.
func TestFlashSale_SellsEveryUnitOnceWhateverHappensToRedis(t *testing.T) {
	t.Parallel()
	const units, buyers = 50, 500

	for name, happens := range map[string]func(t *testing.T, redis *devstack.Redis){
		"nothing":        func(*testing.T, *devstack.Redis) {},
		"is unavailable": nil,
		"is killed":      func(t *testing.T, redis *devstack.Redis) { require.NoError(t, redis.Kill()) },
		"is frozen":      func(t *testing.T, redis *devstack.Redis) { require.NoError(t, redis.Freeze()) },
		"restarts":       func(t *testing.T, redis *devstack.Redis) { require.NoError(t, redis.Restart(t.Context())) },
		"is emptied":     func(t *testing.T, redis *devstack.Redis) { _ = stacktest.RedisCommand(t, redis, "FLUSHALL") },
		"says sold out":  func(t *testing.T, redis *devstack.Redis) { tamper(t, redis, "0") },
		"says plenty":    func(t *testing.T, redis *devstack.Redis) { tamper(t, redis, "1000000") },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			redis := stacktest.Redis(t)
			processes := []*shop.Shop{s.process(t, redis.URL()), s.process(t, redis.URL())}
			if happens == nil {
				require.NoError(t, redis.Kill())
				happens = func(*testing.T, *devstack.Redis) {}
			}
			sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), units)
			t.Cleanup(s.startWorkers(t, processes...))

			crowd := make([]*buyer, buyers)
			for i := range crowd {
				crowd[i] = &buyer{shop: processes[i%2], cart: uuid.NewString(), claim: uuid.NewString(), leaves: i%10 == 0}
			}
			var rush sync.WaitGroup
			for i, one := range crowd {
				if i == units/2 {
					happens(t, redis)
				}
				rush.Go(func() { one.tries(t, sale) })
			}
			rush.Wait()

			// Who left lets the unit go, and those who got none look in again.
			s.exec(t, `UPDATE sale_holds SET expires_at = now() - interval '1 hour' WHERE state = 'held'`)
			require.Eventually(t, func() bool {
				for _, one := range crowd {
					if !one.leaves && !one.bought {
						one.tries(t, sale)
					}
				}
				return s.count(t, `SELECT sold FROM flash_sales WHERE id = $1`, sale.ID) == units
			}, time.Minute, 50*time.Millisecond, "a unit was lost")

			s.expect(t, sale, 0, units)
			require.Equal(t, units, s.count(t, `SELECT count(*) FROM orders`))
			require.Equal(t, units, s.count(t, `SELECT count(DISTINCT cart_id) FROM orders`))
			require.Equal(t, units, s.count(t, `SELECT count(*) FROM order_lines WHERE price_cents = $1`, sale.Price.Cents))
			require.Equal(t, 10, s.count(t, `SELECT stock FROM variants WHERE id = $1`, sale.Variant.ID))
		})
	}
}

func TestHoldSaleUnit_RedisRefusesOnlyHopelessClaims(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	process := s.process(t, redis.URL())
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 1)
	ada, claim := uuid.NewString(), uuid.NewString()
	require.NoError(t, process.ReconcileSales(t.Context()))
	require.NoError(t, process.HoldSaleUnit(t.Context(), claimOf(ada, sale.ID, claim)))

	s.exec(t, `ALTER TABLE flash_sales RENAME TO flash_sales_away`)
	err := process.HoldSaleUnit(t.Context(), newClaim(sale))
	s.exec(t, `ALTER TABLE flash_sales_away RENAME TO flash_sales`)

	require.ErrorIs(t, err, shop.ErrSaleSoldOut, "without a question to PostgreSQL")
	require.NoError(t, process.HoldSaleUnit(t.Context(), claimOf(ada, sale.ID, claim)))

	stacktest.RedisCommand(t, redis, "FLUSHALL")
	require.ErrorIs(t, process.HoldSaleUnit(t.Context(), newClaim(sale)), shop.ErrSaleSoldOut)
	require.NoError(t, process.GiveBackHold(t.Context(), ada, claim))
	require.NoError(t, process.HoldSaleUnit(t.Context(), newClaim(sale)), "Redis knows at once what came back")
}

func TestReconcileSales_CorrectsRedis(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	redis := stacktest.Redis(t)
	process := s.process(t, redis.URL())
	sale := s.sale(t, s.variant(t, "harbour-enamel-mug", 60), 5)
	require.NoError(t, process.ReconcileSales(t.Context()))
	tamper(t, redis, "0")
	require.ErrorIs(t, process.HoldSaleUnit(t.Context(), newClaim(sale)), shop.ErrSaleSoldOut)

	require.NoError(t, process.ReconcileSales(t.Context()))

	require.NoError(t, process.HoldSaleUnit(t.Context(), newClaim(sale)))
	s.expect(t, sale, 1, 0)
}

func BenchmarkHoldSaleUnit_Losers(b *testing.B) {
	for name, withRedis := range map[string]bool{"Redis": true, "PostgreSQL": false} {
		b.Run(name, func(b *testing.B) {
			s := newStore(b)
			address := ""
			if withRedis {
				address = stacktest.Redis(b).URL()
			}
			process := s.process(b, address)
			sale := s.sale(b, s.variant(b, "harbour-enamel-mug", 60), 1)
			require.NoError(b, process.HoldSaleUnit(b.Context(), newClaim(sale)))
			tending, stop := context.WithCancel(b.Context())
			var tender sync.WaitGroup
			tender.Go(func() { _ = process.RunSales(tending) })
			b.Cleanup(func() {
				stop()
				tender.Wait()
			})

			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := process.HoldSaleUnit(b.Context(), newClaim(sale)); !errors.Is(err, shop.ErrSaleSoldOut) {
						b.Error(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "losers/s")
		})
	}
}

// buyer is one who wants a unit of a sale.
type buyer struct {
	shop        *shop.Shop
	cart, claim string
	leaves      bool // with the unit in the cart
	bought      bool
}

// tries buys a unit if there is one to be had. The claim comes twice, as from
// a double click.
func (b *buyer) tries(t *testing.T, sale shop.Sale) {
	err := b.shop.HoldSaleUnit(t.Context(), claimOf(b.cart, sale.ID, b.claim))
	if errors.Is(err, shop.ErrSaleSoldOut) {
		return
	}
	require.NoError(t, err)
	if err := b.shop.HoldSaleUnit(t.Context(), claimOf(b.cart, sale.ID, b.claim)); err != nil {
		require.ErrorIs(t, err, shop.ErrSaleSoldOut) // Redis has forgotten whose it was
	}
	if b.leaves {
		return
	}
	require.NoError(t, b.shop.SaveContact(t.Context(), b.cart, contact()))
	_, err = b.shop.PlaceOrder(t.Context(), purchase(b.cart))
	require.NoError(t, err)
	b.bought = true
}

// process is a shop on the same database, as another process has it, with a
// Redis at address.
func (s store) process(t testing.TB, address string) *shop.Shop {
	t.Helper()
	redis, _ := failopentest.Open(t, failopen.Options{URL: address, Timeout: 250 * time.Millisecond})
	options := s.options
	options.Redis, options.Registry, options.Log = redis, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	return shop.New(options)
}

// tamper makes Redis believe in a number of units.
func tamper(t testing.TB, server *devstack.Redis, left string) {
	t.Helper()
	keys, _ := stacktest.RedisCommand(t, server, "KEYS", "sale:*:units").([]any)
	for _, key := range keys {
		stacktest.RedisCommand(t, server, "HSET", key, "left", left)
	}
}
