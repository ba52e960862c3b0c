package storefront_test

import (
	"context"
	"sync"
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
	site.startSale(t, 50)

	for path, want := range map[string]cost{
		"/":                            {1, 3}, // products, sale, cart
		"/products/harbour-enamel-mug": {1, 3}, // product, others beside it, cart
		"/products/riggers-knife":      {1, 4}, // and its sale
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

// Planning takes PostgreSQL longer than most of these statements. It makes a plan of its
// own for each of the first five executions, and then again for each one whose values
// promise a cheaper plan than any values do.
func TestPages_StatementsArePlannedOnce(t *testing.T) {
	t.Parallel()
	sessions := &sessions{}
	redis := stacktest.Redis(t)
	site := newSiteWith(t, setup{trace: sessions, redis: failopen.Options{URL: redis.URL(), Timeout: time.Second}})
	ada := site.shopper(t)
	ada.add("harbour-enamel-mug", 1)
	ada.review()

	for _, path := range []string{
		"/products/harbour-enamel-mug", "/", "/categories/galley", "/categories/everything", "/search?q=mug", "/cart", "/checkout/review",
	} {
		for range 20 {
			require.Equal(t, 200, ada.get(path).status, path)
		}
	}

	often := 0
	for session := range sessions.seen {
		rows, err := session.Query(t.Context(), `
			SELECT statement, custom_plans FROM pg_prepared_statements WHERE custom_plans + generic_plans >= 10`)
		require.NoError(t, err)
		var statement string
		var plans int
		_, err = pgx.ForEachRow(rows, []any{&statement, &plans}, func() error {
			often++
			require.LessOrEqual(t, plans, 5, statement)
			return nil
		})
		require.NoError(t, err)
	}
	require.Greater(t, often, 5, "statements were executed often")
}

// sessions are the connections over which pages asked the database. The test asks one
// page after the other, so that there is no other use of them meanwhile.
type sessions struct {
	counter
	mutex sync.Mutex
	seen  map[*pgx.Conn]bool
}

func (s *sessions) TraceBatchStart(ctx context.Context, session *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.seen == nil {
		s.seen = map[*pgx.Conn]bool{}
	}
	s.seen[session] = true
	return ctx
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
