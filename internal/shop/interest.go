package shop

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/cache"
)

// Interest is how much a product is wanted right now. What is not known is 0:
// it is for numbers that are worth showing, and no number is better than a
// wrong one.
type Interest struct {
	Looking int // people who have its page open
	Carts   int // carts that hold it and were changed within the last 24 hours
	Sold    int // units sold within the last 24 hours
}

// Look notes that a visitor has a product's page open, and returns the
// interest in it. The visitor counts for about a minute.
func (s *Shop) Look(ctx context.Context, productID int64, visitor string) Interest {
	ctx, cancel := context.WithTimeout(ctx, interestTimeout)
	defer cancel()
	if count, ok := s.presence.visit(ctx, productID, visitor); ok {
		s.keepLooking(productID, count)
	}
	return s.Interest(ctx, productID)
}

// Interest returns the interest in a product. It never fails, and nothing may
// depend on it. Who looks is a number of Redis: while that is away, the last
// one stands for five minutes.
func (s *Shop) Interest(ctx context.Context, productID int64) Interest {
	ctx, cancel := context.WithTimeout(ctx, interestTimeout)
	defer cancel()
	traded := s.trade(ctx)[productID]
	return Interest{Looking: s.looking(ctx, productID), Carts: traded.Carts, Sold: traded.Sold}
}

// Private

// interestTimeout is the longest that anybody waits for an Interest.
const interestTimeout = time.Second

// lookingFresh is how long a process shows a count without asking Redis again.
const lookingFresh = 3 * time.Second

var (
	// keptTrade is of all products at once: it costs as much as a day's trade,
	// however many products are looked at.
	keptTrade = cache.Kind[map[int64]trade]{Name: "trade", Version: 1, Life: 20 * time.Second}

	lastTrade   = cache.Kind[map[int64]trade]{Name: "last_trade", Version: 1, Life: 5 * time.Minute, Local: true}
	lastLooking = cache.Kind[lookers]{Name: "last_looking", Version: 1, Life: 5 * time.Minute, Local: true}
)

// trade is what happened to one product within the last 24 hours.
type trade struct {
	Carts int
	Sold  int
}

// lookers is a count with its time.
type lookers struct {
	Count int
	At    time.Time
}

func lookPlace(productID int64) string { return "product:" + strconv.FormatInt(productID, 10) }

func (s *Shop) keepLooking(productID int64, count int) {
	lastLooking.Put(s.cache, lookPlace(productID), lookers{Count: count, At: time.Now()})
}

func (s *Shop) looking(ctx context.Context, productID int64) int {
	last, known := lastLooking.Peek(s.cache, lookPlace(productID))
	if known && time.Since(last.At) < lookingFresh {
		return last.Count
	}
	count, ok := s.presence.count(ctx, productID)
	if !ok {
		return last.Count
	}
	s.keepLooking(productID, count)
	return count
}

// trade is what happened to every product that anything happened to. Where it
// cannot be read, that shows in the cache's metrics, and the last one stands.
func (s *Shop) trade(ctx context.Context) map[int64]trade {
	if s.cache == nil {
		return nil
	}
	traded, err := keptTrade.Fetch(ctx, s.cache, "", s.readTrade)
	if err != nil {
		traded, _ = lastTrade.Peek(s.cache, "")
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
		return nil, fmt.Errorf("sum up the day's trade: %w", err)
	}
	traded := map[int64]trade{}
	var id int64
	var one trade
	_, err = pgx.ForEachRow(rows, []any{&id, &one.Carts, &one.Sold}, func() error {
		traded[id] = one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("sum up the day's trade: %w", err)
	}
	lastTrade.Put(s.cache, "", traded)
	return traded, nil
}
