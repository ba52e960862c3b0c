package shop

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/text/unicode/norm"
)

// OrderLimit is how many orders one shopper may place: Orders of them at once,
// and another one after each Orders-th part of Period. A shopper is an email
// address, and also a cart. Orders = 0 sets no limit.
//
// It is GCRA (the leaky bucket of ITU-T I.371) over one row for each subject, within
// the transaction of the order: exact however many processes there are, undone
// with the order, kept through restarts, and no matter of Redis.
type OrderLimit struct {
	Orders int
	Period time.Duration
}

// ErrTooManyOrders tells that a shopper has placed many orders in a short time.
var ErrTooManyOrders = errors.New("too many orders in a short time")

// TooManyOrdersError is ErrTooManyOrders, with how long to wait.
type TooManyOrdersError struct {
	RetryAfter time.Duration
}

func (e *TooManyOrdersError) Error() string {
	return fmt.Sprintf("%s: the next one is possible in %s", ErrTooManyOrders, e.RetryAfter.Round(time.Second))
}

// Is makes every TooManyOrdersError an ErrTooManyOrders.
func (e *TooManyOrdersError) Is(target error) bool { return target == ErrTooManyOrders }

// ForgetOrderLimits deletes what no longer limits anybody. It may run at any
// time, in any number of processes.
func (s *Shop) ForgetOrderLimits(ctx context.Context) error {
	for {
		// An order may hold one row and wait for another: what it holds is skipped.
		forgotten, err := s.db.Exec(ctx, `
			DELETE FROM order_limits
			WHERE subject IN (
				SELECT subject FROM order_limits
				WHERE used_up < now()
				LIMIT 1000
				FOR UPDATE SKIP LOCKED
			)`)
		if err != nil {
			return fmt.Errorf("forget order limits: %w", err)
		}
		if forgotten.RowsAffected() == 0 {
			return nil
		}
	}
}

// Private

// check refuses an order that take would refuse, without counting it: before
// the payment is authorized, and no matter how many try at once.
func (l OrderLimit) check(ctx context.Context, db querier, cartID, email string) error {
	if l.Orders == 0 {
		return nil
	}
	return l.look(ctx, db, l.subjects(cartID, email)...)
}

func (l OrderLimit) look(ctx context.Context, db querier, subjects ...string) error {
	var wait time.Duration
	err := db.QueryRow(ctx, `
		SELECT coalesce(max(used_up) + $2::interval - $3::interval - clock_timestamp(), interval '0')
		FROM order_limits
		WHERE subject = ANY($1)`, subjects, l.each(), l.Period,
	).Scan(&wait)
	if err != nil {
		return fmt.Errorf("look at order limits: %w", err)
	}
	if wait > 0 {
		return &TooManyOrdersError{RetryAfter: wait}
	}
	return nil
}

// take counts an order, or refuses it. The rows stay locked until the order is
// placed. The clock is asked once the row is locked, so that orders that waited
// for each other see time pass in their order.
func (l OrderLimit) take(ctx context.Context, tx pgx.Tx, cartID, email string) error {
	if l.Orders == 0 {
		return nil
	}
	for _, subject := range l.subjects(cartID, email) {
		taken, err := tx.Exec(ctx, `
			INSERT INTO order_limits (subject, used_up) VALUES ($1, clock_timestamp() + $2::interval)
			ON CONFLICT (subject) DO UPDATE
			SET used_up = greatest(order_limits.used_up, clock_timestamp()) + $2::interval
			WHERE greatest(order_limits.used_up, clock_timestamp()) + $2::interval <= clock_timestamp() + $3::interval`,
			subject, l.each(), l.Period)
		if err != nil {
			return fmt.Errorf("count order: %w", err)
		}
		if taken.RowsAffected() == 1 {
			continue
		}
		if err := l.look(ctx, tx, subject); err != nil {
			return err
		}
		return &TooManyOrdersError{} // its time has come since
	}
	return nil
}

// each is how much of the allowance one order uses up. It is rounded to what
// PostgreSQL counts in, so that Orders of them never exceed Period.
func (l OrderLimit) each() time.Duration {
	return (l.Period / time.Duration(l.Orders)).Truncate(time.Microsecond)
}

// subjects are always locked in this order. That of the cart comes last: only
// who holds the cart's lock takes it.
func (l OrderLimit) subjects(cartID, email string) []string {
	return []string{"email:" + strings.ToLower(norm.NFKC.String(strings.TrimSpace(email))), "cart:" + cartID}
}
