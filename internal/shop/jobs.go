package shop

import (
	"context"
	"fmt"

	"github.com/riverqueue/river"
)

// SendOrderConfirmation mails an order to its shopper.
type SendOrderConfirmation struct {
	OrderID int64 `json:"order_id"`
}

// Kind names the job in the database.
func (SendOrderConfirmation) Kind() string { return "send_order_confirmation" }

// CapturePayment takes the money that was authorized for an order.
type CapturePayment struct {
	OrderID int64 `json:"order_id"`
}

// Kind names the job in the database.
func (CapturePayment) Kind() string { return "capture_payment" }

// Jobs are all kinds of jobs with what they do: one line each into the domain.
func (s *Shop) Jobs() *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[SendOrderConfirmation]) error {
		return s.SendOrderConfirmation(ctx, job.Args.OrderID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[CapturePayment]) error {
		return s.CapturePayment(ctx, job.Args.OrderID)
	}))
	return workers
}

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
