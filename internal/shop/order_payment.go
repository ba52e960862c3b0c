package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/payment"
)

// CapturePayment captures the payment of an order and marks the order as paid. It
// may run twice.
func (s *Shop) CapturePayment(ctx context.Context, orderID int64) error {
	order, err := readOrder(ctx, s.db, `o.id = $1`, orderID)
	if err != nil {
		return fmt.Errorf("capture payment of order %d: %w", orderID, err)
	}
	if order.State == OrderPaid {
		return nil
	}
	if err := s.gateway.Capture(ctx, order.paymentID); err != nil {
		return fmt.Errorf("capture payment of order %d: %w", orderID, err)
	}
	paid, err := s.db.Exec(ctx, `UPDATE orders SET state = 'paid', paid_at = now() WHERE id = $1 AND state = 'placed'`, orderID)
	if err != nil {
		return fmt.Errorf("mark order %d as paid: %w", orderID, err)
	}
	if paid.RowsAffected() == 1 { // else another run has counted it
		s.metrics.revenue.WithLabelValues(string(order.Total.Currency)).Add(float64(order.Total.Cents))
	}
	s.tasks.Enqueue(ctx, BroadcastOrder{OrderID: orderID})
	return nil
}

// Private

// giveBackTimeout bounds how long a shopper waits for giveBack.
const giveBackTimeout = 5 * time.Second

// refuseVoided returns ErrCheckoutKey for an authorization that giveBack voided.
// A gateway returns the same authorization again for the same key.
func refuseVoided(ctx context.Context, tx pgx.Tx, authorization payment.Authorization) error {
	var voided bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM voided_payments WHERE payment_id = $1)`, authorization.ID).Scan(&voided)
	if err != nil {
		return fmt.Errorf("find voided payment: %w", err)
	}
	if voided {
		return ErrCheckoutKey
	}
	return nil
}

// giveBack voids an authorization that has not become an order. It first marks
// the authorization as voided, with the cart locked: another request with the
// same key either finds that mark or has already made its order, which giveBack
// then finds. After any error nothing is voided, and the shopper gets the money
// back when the authorization expires.
func (s *Shop) giveBack(ctx context.Context, purchase Purchase, authorization payment.Authorization) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackTimeout)
	defer cancel()
	ordered := false
	err := pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		if err := lockCart(ctx, tx, purchase.CartID); err != nil {
			return err
		}
		var err error
		if _, ordered, err = orderOf(ctx, tx, purchase); ordered || err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `INSERT INTO voided_payments (payment_id) VALUES ($1) ON CONFLICT DO NOTHING`, authorization.ID)
		return err
	})
	if err == nil && !ordered {
		err = s.gateway.Void(ctx, authorization.ID)
	}
	if err != nil {
		s.log.WarnContext(ctx, "Payment authorization could not be voided and will expire", "error", err)
	}
}
