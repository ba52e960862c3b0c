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

// OrderLimit limits the orders of one shopper: a burst of Orders, and one more
// after each Period divided by Orders. It counts email addresses and carts, each
// separately. Orders of 0 is no limit.
//
// It is GCRA (the leaky bucket of ITU-T I.371) with one row for each subject, in
// the transaction of the order. So it is exact across processes and restarts, is
// rolled back with the order, and does not need Redis.
type OrderLimit struct {
	Orders int
	Period time.Duration
}

// ErrTooManyOrders says that a shopper has reached the OrderLimit.
var ErrTooManyOrders = errors.New("too many orders in a short time")

// TooManyOrdersError is ErrTooManyOrders with the time to wait.
type TooManyOrdersError struct {
	RetryAfter time.Duration
}

func (e *TooManyOrdersError) Error() string {
	return fmt.Sprintf("%s: the next one is possible in %s", ErrTooManyOrders, e.RetryAfter.Round(time.Second))
}

// Is makes every TooManyOrdersError an ErrTooManyOrders.
func (e *TooManyOrdersError) Is(target error) bool { return target == ErrTooManyOrders }

// ForgetOrderLimits deletes the rows of order limits that have expired. Any
// number of processes may run it at once.
func (s *Shop) ForgetOrderLimits(ctx context.Context) error {
	for {
		// Skip locked rows: an order may hold one row and wait for another.
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

// check refuses an order that take would refuse, and counts nothing. It spares a
// refused order the authorization of its payment.
func (l OrderLimit) check(ctx context.Context, db querier, cartID, email string) error {
	if l.Orders == 0 {
		return nil
	}
	return l.read(ctx, db, l.subjects(cartID, email)...)
}

// read returns a TooManyOrdersError when a subject has reached the limit.
func (l OrderLimit) read(ctx context.Context, db querier, subjects ...string) error {
	var wait time.Duration
	err := db.QueryRow(ctx, `
		SELECT coalesce(max(used_up) + $2::interval - $3::interval - clock_timestamp(), interval '0')
		FROM order_limits
		WHERE subject = ANY($1)`, subjects, l.each(), l.Period,
	).Scan(&wait)
	if err != nil {
		return fmt.Errorf("read order limits: %w", err)
	}
	if wait > 0 {
		return &TooManyOrdersError{RetryAfter: wait}
	}
	return nil
}

// take counts an order or refuses it. The rows stay locked until the transaction
// ends. It reads clock_timestamp after the row is locked: now() would be the time
// at which the transaction began, before it waited for the lock.
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
		if err := l.read(ctx, tx, subject); err != nil {
			return err
		}
		return &TooManyOrdersError{} // the wait has ended between the two statements
	}
	return nil
}

// each is the time that one order uses up. It is rounded down to the precision of
// PostgreSQL, so that Orders of them never exceed Period.
func (l OrderLimit) each() time.Duration {
	return (l.Period / time.Duration(l.Orders)).Truncate(time.Microsecond)
}

// subjects are always locked in this order, so that two orders cannot deadlock.
// The cart comes last, because its own lock is held already.
func (l OrderLimit) subjects(cartID, email string) []string {
	return []string{"email:" + strings.ToLower(norm.NFKC.String(strings.TrimSpace(email))), "cart:" + cartID}
}
