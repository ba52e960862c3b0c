package shop

import (
	"context"
	"encoding/json"
	"time"

	"slipway/internal/jobs"
)

// SendOrderConfirmation mails an order to its shopper.
type SendOrderConfirmation struct {
	OrderID int64 `json:"order_id"`
}

// Declare describes the job. A mail server may be away for days.
func (SendOrderConfirmation) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "send_order_confirmation", Queue: jobs.Default, Attempts: 25, Timeout: mailTimeout}
}

// CapturePayment takes the money that was authorized for an order.
type CapturePayment struct {
	OrderID int64 `json:"order_id"`
}

// Declare describes the job. Its 25 attempts take longer than most gateways
// keep an authorization: what still fails then is for people.
func (CapturePayment) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "capture_payment", Queue: jobs.Critical, Attempts: 25, Timeout: 30 * time.Second}
}

// TendSales opens and closes flash sales and ends holds. For config/recurring.yml.
type TendSales struct{}

// Declare describes the job. The next run comes in seconds, so a run that
// fails is not tried for long, and one that hangs is soon given up.
func (TendSales) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "tend_sales", Queue: jobs.Critical, Attempts: 3, Backoff: jobs.Quick, Timeout: 20 * time.Second}
}

// ReconcileStock checks that what flash sales count adds up. For
// config/recurring.yml.
type ReconcileStock struct{}

// Declare describes the job. Two at once would count every discrepancy twice.
func (ReconcileStock) Declare() jobs.Declaration {
	return jobs.Declaration{
		Kind: "reconcile_stock", Queue: jobs.Low, Attempts: 5, Timeout: 2 * time.Minute,
		OneAtATime: func(json.RawMessage) string { return "the store" }, // there is one
	}
}

// RemindOfCarts enqueues reminders of carts that were left. For
// config/recurring.yml.
type RemindOfCarts struct{}

// Declare describes the job.
func (RemindOfCarts) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "remind_of_carts", Queue: jobs.Low, Attempts: 3, Timeout: time.Minute}
}

// SendCartReminder mails what is in a cart to the shopper who left it.
type SendCartReminder struct {
	CartID string `json:"cart_id"`
}

// Declare describes the job. Eight attempts take an hour and a half; a reminder
// that comes much later is none.
func (SendCartReminder) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "send_cart_reminder", Queue: jobs.Low, Attempts: 8, Timeout: mailTimeout, Unique: jobs.Uniqueness{Waiting: true}}
}

// ForgetOldCarts deletes carts that nobody has touched for longer than a browser
// keeps them. For config/recurring.yml, as the two after it.
type ForgetOldCarts struct{}

// Declare describes the job.
func (ForgetOldCarts) Declare() jobs.Declaration { return cleanup("forget_old_carts") }

// ForgetOrderLimits deletes order limits that limit nobody any more.
type ForgetOrderLimits struct{}

// Declare describes the job.
func (ForgetOrderLimits) Declare() jobs.Declaration { return cleanup("forget_order_limits") }

// ForgetHolds deletes the holds of sales that are long over.
type ForgetHolds struct{}

// Declare describes the job.
func (ForgetHolds) Declare() jobs.Declaration { return cleanup("forget_holds") }

// Jobs are all kinds of jobs with what they do: one line each into the domain.
func (s *Shop) Jobs() jobs.Handlers {
	return jobs.Handlers{
		jobs.Handle(func(ctx context.Context, job SendOrderConfirmation) error {
			return s.SendOrderConfirmation(ctx, job.OrderID)
		}),
		jobs.Handle(func(ctx context.Context, job CapturePayment) error { return s.CapturePayment(ctx, job.OrderID) }),
		jobs.Handle(func(ctx context.Context, _ TendSales) error { return s.TendSales(ctx) }),
		jobs.Handle(func(ctx context.Context, _ ReconcileStock) error { return s.ReconcileStock(ctx) }),
		jobs.Handle(func(ctx context.Context, _ RemindOfCarts) error { return s.RemindOfCarts(ctx) }),
		jobs.Handle(func(ctx context.Context, job SendCartReminder) error { return s.SendCartReminder(ctx, job.CartID) }),
		jobs.Handle(func(ctx context.Context, _ ForgetOldCarts) error { return s.ForgetOldCarts(ctx) }),
		jobs.Handle(func(ctx context.Context, _ ForgetOrderLimits) error { return s.ForgetOrderLimits(ctx) }),
		jobs.Handle(func(ctx context.Context, _ ForgetHolds) error { return s.ForgetHolds(ctx) }),
	}
}

// Private

// mailTimeout bounds one attempt to send a mail.
const mailTimeout = 30 * time.Second

// cleanup declares a job that the next day's run would make good as well.
func cleanup(kind string) jobs.Declaration {
	return jobs.Declaration{Kind: kind, Queue: jobs.Low, Attempts: 3, Timeout: 2 * time.Minute}
}
