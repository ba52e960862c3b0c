package storefront_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
)

// Each round trip to the database makes a page slower, and each statement costs
// PostgreSQL. Raise a number only for something that visitors see.
func TestPages_AskTheDatabaseOnce(t *testing.T) {
	t.Parallel()
	counter := &counter{}
	redis := stacktest.Redis(t)
	site := newSiteWith(t, setup{trace: counter, redis: failopen.Options{URL: redis.URL(), Timeout: time.Second}})
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	ada.review()

	for path, want := range map[string]cost{
		"/":                            {1, 3}, // products, sale, cart
		"/products/harbour-enamel-mug": {1, 4}, // product, others beside it, sale, cart
		"/categories/galley":           {1, 2}, // products, cart
		"/categories/everything":       {1, 2},
		"/search?q=mug":                {1, 2},
		"/search?q=zzzzqqqq":           {1, 2}, // suggestions, cart
		"/search":                      {1, 2},
		"/cart":                        {1, 1},
		"/checkout":                    {2, 2}, // cart, contact
		"/checkout/review":             {2, 2},
		"/robots.txt":                  {0, 0},
	} {
		ada.get(path) // fills the cache of lists
		began := counter.cost()
		require.Equal(t, 200, ada.get(path).status, path)
		ended := counter.cost()

		require.Equal(t, want, cost{ended.trips - began.trips, ended.statements - began.statements}, path)
	}
}

// cost is what pages asked of the database.
type cost struct{ trips, statements int64 }

// counter counts what pages ask of the database.
type counter struct{ trips, statements atomic.Int64 }

func (c *counter) cost() cost { return cost{c.trips.Load(), c.statements.Load()} }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.trips.Add(1)
	c.statements.Add(1)
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *counter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	c.trips.Add(1)
	c.statements.Add(int64(data.Batch.Len()))
	return ctx
}

func (c *counter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *counter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}
