package shop

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/payment"
)

// CapturePayment takes the money of an order. It may run twice.
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
	if _, err := s.db.Exec(ctx, `UPDATE orders SET state = 'paid', paid_at = now() WHERE id = $1 AND state = 'placed'`, orderID); err != nil {
		return fmt.Errorf("mark order %d as paid: %w", orderID, err)
	}
	s.tasks.Enqueue(ctx, BroadcastOrder{OrderID: orderID})
	return nil
}

// Private

// giveBackTimeout bounds what a shopper waits for a void.
const giveBackTimeout = 5 * time.Second

// refuseVoided keeps an authorization that was given back from paying an
// order: a gateway answers the same key with the same authorization again.
func refuseVoided(ctx context.Context, tx pgx.Tx, authorization payment.Authorization) error {
	var voided bool
	err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM voided_payments WHERE payment_id = $1)`, authorization.ID).Scan(&voided)
	if err != nil {
		return fmt.Errorf("look for voided payment: %w", err)
	}
	if voided {
		return ErrCheckoutKey
	}
	return nil
}

// giveBack voids an authorization that has certainly become no order. It is
// marked first, with the cart locked: another request with the same key may be
// about to use it, and then either finds the mark or has made its order. Where
// anything is in doubt nothing is voided, and the money goes back when the
// authorization lapses.
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
		s.log.WarnContext(ctx, "Payment authorization was not given back and will lapse", "error", err)
	}
}
