package shop

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/cache"
)

// Interest is the current interest of shoppers in a product. A number that is not
// known is 0, because pages show no number rather than a wrong one.
type Interest struct {
	Looking int // visitors who have its page open
	Carts   int // carts with it that were changed within the last 24 hours
	Sold    int // units sold within the last 24 hours
}

// Look records that a visitor has the page of a product open, and returns the
// interest in the product. The visitor counts for about a minute.
func (s *Shop) Look(ctx context.Context, productID int64, visitor string) Interest {
	ctx, cancel := context.WithTimeout(ctx, interestTimeout)
	defer cancel()
	if count, ok := s.presence.visit(ctx, productID, visitor); ok {
		s.cacheLooking(productID, count)
	}
	return s.Interest(ctx, productID)
}

// Interest returns the interest in a product. It never fails: while Redis is
// unavailable, the last number of visitors is returned for five minutes.
func (s *Shop) Interest(ctx context.Context, productID int64) Interest {
	ctx, cancel := context.WithTimeout(ctx, interestTimeout)
	defer cancel()
	traded := s.trade(ctx)[productID]
	return Interest{Looking: s.looking(ctx, productID), Carts: traded.Carts, Sold: traded.Sold}
}

// Private

// interestTimeout bounds how long a page waits for an Interest.
const interestTimeout = time.Second

// lookingFresh is how long a process uses a number of visitors before it reads a
// new one from Redis.
const lookingFresh = 3 * time.Second

var (
	// tradeCache has one value for all products: its cost grows with the orders of
	// a day, and not with the number of pages.
	tradeCache = cache.Kind[map[int64]trade]{Name: "trade", Version: 1, Life: 20 * time.Second}

	lastTradeCache   = cache.Kind[map[int64]trade]{Name: "last_trade", Version: 1, Life: 5 * time.Minute, Local: true}
	lastLookingCache = cache.Kind[lookers]{Name: "last_looking", Version: 1, Life: 5 * time.Minute, Local: true}
)

// trade is the activity around one product within the last 24 hours.
type trade struct {
	Carts int
	Sold  int
}

// lookers is a number of visitors, with the time at which it was read.
type lookers struct {
	Count int
	At    time.Time
}

// lookingKey is the key of a product in lastLookingCache.
func lookingKey(productID int64) string { return "product:" + strconv.FormatInt(productID, 10) }

func (s *Shop) cacheLooking(productID int64, count int) {
	lastLookingCache.Put(s.cache, lookingKey(productID), lookers{Count: count, At: time.Now()})
}

func (s *Shop) looking(ctx context.Context, productID int64) int {
	last, known := lastLookingCache.Peek(s.cache, lookingKey(productID))
	if known && time.Since(last.At) < lookingFresh {
		return last.Count
	}
	count, ok := s.presence.count(ctx, productID)
	if !ok {
		return last.Count
	}
	s.cacheLooking(productID, count)
	return count
}

// trade is the trade by product. When it cannot be read, the last one is used for
// five minutes, and the metrics of the cache count the error.
func (s *Shop) trade(ctx context.Context) map[int64]trade {
	if s.cache == nil {
		return nil
	}
	traded, err := tradeCache.Fetch(ctx, s.cache, "", s.readTrade)
	if err != nil {
		traded, _ = lastTradeCache.Peek(s.cache, "")
		return traded
	}
	return traded
}

func (s *Shop) readTrade(ctx context.Context) (map[int64]trade, error) {
	rows, err := s.db.Query(ctx, `
		SELECT product_id, sum(carts)::bigint, sum(sold)::bigint
		FROM (
			SELECT v.product_id, count(DISTINCT l.cart_id) AS carts, 0 AS sold
			FROM carts c
			JOIN cart_lines l ON l.cart_id = c.id
			JOIN variants v ON v.id = l.variant_id
			WHERE c.updated_at > now() - interval '24 hours'
			GROUP BY v.product_id
			UNION ALL
			SELECT v.product_id, 0, sum(l.quantity)
			FROM orders o
			JOIN order_lines l ON l.order_id = o.id
			JOIN variants v ON v.id = l.variant_id
			WHERE o.placed_at > now() - interval '24 hours'
			GROUP BY v.product_id
		) AS today
		GROUP BY product_id`)
	if err != nil {
		return nil, fmt.Errorf("read trade of the last day: %w", err)
	}
	traded := map[int64]trade{}
	var id int64
	var one trade
	_, err = pgx.ForEachRow(rows, []any{&id, &one.Carts, &one.Sold}, func() error {
		traded[id] = one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read trade of the last day: %w", err)
	}
	lastTradeCache.Put(s.cache, "", traded)
	return traded, nil
}
