package shop_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/mail"
	"slipway/internal/payment"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
	"slipway/internal/telemetry"
)

const workingCard = "4242 4242 4242 4242"

// store is a seeded shop on a database of its own, without Redis.
type store struct {
	*shop.Shop
	db      *pgxpool.Pool
	gateway *countingGateway
	mails   *mail.Directory
	options shop.Options
}

func newStore(t testing.TB, adjust ...func(*shop.Options)) store {
	t.Helper()
	db := pgtest.New(t, shop.Migrations())
	registry := prometheus.NewRegistry()
	metrics := jobs.NewMetrics(registry)
	queue, err := jobs.NewJobs(db, metrics)
	require.NoError(t, err)
	log := slog.New(slog.DiscardHandler)
	guard := failopen.NewGuard(failopen.Options{}, telemetry.NewReporter(log, registry))
	tasks, err := jobs.NewTasks(guard, queue, metrics)
	require.NoError(t, err)

	s := store{
		db:      db,
		gateway: &countingGateway{Gateway: payment.NewSandbox(20 * time.Millisecond)},
		mails:   mail.NewDirectory(t.TempDir(), "Leeward <orders@leeward.example>"),
	}
	options := shop.Options{
		DB: db, Jobs: queue, Tasks: tasks, Gateway: s.gateway, Mail: s.mails,
		BaseURL: "https://leeward.example", Log: log, Registry: registry,
		SaleHold: 10 * time.Minute, SaleLimit: 1,
	}
	for _, change := range adjust {
		change(&options)
	}
	s.Shop, s.options = shop.New(options), options
	_, err = s.Seed(t.Context())
	require.NoError(t, err)
	return s
}

// countingGateway is the sandbox, and knows what was authorized, captured and given back.
type countingGateway struct {
	payment.Gateway
	mutex      sync.Mutex
	authorized []payment.Request
	captured   []string
	voided     []string

	whileAuthorizing func() // may be nil
}

func (g *countingGateway) Authorize(ctx context.Context, request payment.Request) (payment.Authorization, error) {
	g.mutex.Lock()
	g.authorized = append(g.authorized, request)
	g.mutex.Unlock()
	if g.whileAuthorizing != nil {
		g.whileAuthorizing()
	}
	return g.Gateway.Authorize(ctx, request)
}

func (g *countingGateway) Capture(ctx context.Context, authorization string) error {
	g.mutex.Lock()
	g.captured = append(g.captured, authorization)
	g.mutex.Unlock()
	return g.Gateway.Capture(ctx, authorization)
}

func (g *countingGateway) Void(ctx context.Context, authorization string) error {
	g.mutex.Lock()
	g.voided = append(g.voided, authorization)
	g.mutex.Unlock()
	return g.Gateway.Void(ctx, authorization)
}

// variant returns the first variant of a product, with its stock set.
func (s store) variant(t testing.TB, slug string, stock int) shop.Variant {
	t.Helper()
	product, err := readProduct(t, s.Shop, slug)
	require.NoError(t, err)
	variant := product.Variants[0]
	_, err = s.db.Exec(t.Context(), `UPDATE variants SET stock = $2 WHERE id = $1`, variant.ID, stock)
	require.NoError(t, err)
	variant.Stock = stock
	return variant
}

// filledCart is a cart with units of a variant and a contact.
func (s store) filledCart(t *testing.T, variant shop.Variant, units int) string {
	t.Helper()
	id, err := s.AddToCart(t.Context(), "", variant.ID, units)
	require.NoError(t, err)
	require.NoError(t, s.SaveContact(t.Context(), id, contact()))
	return id
}

func contact() shop.Contact {
	return shop.Contact{
		Email: "ada@example.com", Name: "Ada Lovelace", Street: "Quay 1",
		PostalCode: "1010", City: "Vienna", Country: "AT",
	}
}

func purchase(cartID string) shop.Purchase {
	return shop.Purchase{CartID: cartID, CheckoutKey: uuid.NewString(), Card: workingCard}
}

func (s store) count(t *testing.T, query string, arguments ...any) int {
	t.Helper()
	var count int
	require.NoError(t, s.db.QueryRow(t.Context(), query, arguments...).Scan(&count))
	return count
}

func (s store) stockOf(t *testing.T, variant shop.Variant) int {
	t.Helper()
	return s.count(t, `SELECT stock FROM variants WHERE id = $1`, variant.ID)
}
