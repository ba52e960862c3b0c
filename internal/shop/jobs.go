package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"slipway/internal/jobs"
	"slipway/internal/mail"
	"slipway/internal/payment"
)

// SendOrderConfirmation mails the confirmation of an order to its shopper.
type SendOrderConfirmation struct {
	OrderID int64 `json:"order_id"`
}

// Declare describes the job. Its 25 attempts take days, because a mail server
// may be unavailable for that long.
func (SendOrderConfirmation) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "send_order_confirmation", Queue: jobs.Default, Attempts: 25, Timeout: mailTimeout, GiveUpOn: hopeless}
}

// Check reports args that name no order.
func (j SendOrderConfirmation) Check() error { return checkID("order_id", j.OrderID) }

// CapturePayment captures the authorized payment of an order.
type CapturePayment struct {
	OrderID int64 `json:"order_id"`
}

// Declare describes the job. Most gateways end an authorization before its 25
// attempts are over. An operator must investigate a payment that still fails then.
func (CapturePayment) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "capture_payment", Queue: jobs.Critical, Attempts: 25, Timeout: 30 * time.Second, GiveUpOn: hopeless}
}

// Check reports args that name no order.
func (j CapturePayment) Check() error { return checkID("order_id", j.OrderID) }

// TendSales opens and closes flash sales and ends expired holds. It runs from
// config/recurring.yml.
type TendSales struct{}

// Declare describes the job. The next run comes within seconds, so a failed run
// gets few attempts and a hanging one a short timeout.
func (TendSales) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "tend_sales", Queue: jobs.Critical, Attempts: 3, Backoff: jobs.Quick, Timeout: 20 * time.Second}
}

// ReconcileStock checks the counts of flash sales. It runs from
// config/recurring.yml.
type ReconcileStock struct{}

// Declare describes the job. Two runs at once would count each discrepancy twice.
func (ReconcileStock) Declare() jobs.Declaration {
	return jobs.Declaration{
		Kind: "reconcile_stock", Queue: jobs.Low, Attempts: 5, Timeout: 2 * time.Minute,
		Limit: jobs.Limit{Key: func(json.RawMessage) string { return "the store" }}, // one key for all runs
	}
}

// RemindOfCarts enqueues reminders of abandoned carts. It runs from
// config/recurring.yml.
type RemindOfCarts struct{}

// Declare describes the job.
func (RemindOfCarts) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "remind_of_carts", Queue: jobs.Low, Attempts: 3, Timeout: time.Minute}
}

// SendCartReminder mails a reminder of a cart to the shopper who abandoned it.
type SendCartReminder struct {
	CartID string `json:"cart_id"`
}

// Declare describes the job. Its eight attempts take an hour and a half: a
// reminder that comes much later is useless.
func (SendCartReminder) Declare() jobs.Declaration {
	return jobs.Declaration{
		Kind: "send_cart_reminder", Queue: jobs.Low, Attempts: 8, Timeout: mailTimeout, GiveUpOn: hopeless,
		Unique: jobs.Uniqueness{Waiting: true},
	}
}

// Check reports args that name no cart.
func (j SendCartReminder) Check() error { return checkCartID(j.CartID) }

// ForgetOldCarts deletes the carts whose cookie has expired. It runs from
// config/recurring.yml.
type ForgetOldCarts struct{}

// Declare describes the job.
func (ForgetOldCarts) Declare() jobs.Declaration { return cleanup("forget_old_carts") }

// ForgetOrderLimits deletes expired order limits. It runs from
// config/recurring.yml.
type ForgetOrderLimits struct{}

// Declare describes the job.
func (ForgetOrderLimits) Declare() jobs.Declaration { return cleanup("forget_order_limits") }

// ForgetHolds deletes the holds of sales that closed long ago. It runs from
// config/recurring.yml.
type ForgetHolds struct{}

// Declare describes the job.
func (ForgetHolds) Declare() jobs.Declaration { return cleanup("forget_holds") }

// Jobs are the handlers of all kinds of jobs, one line each.
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

// hopeless are errors that no later attempt can mend.
var hopeless = []error{ErrNotFound, mail.ErrUndeliverable, payment.ErrRefused}

// checkID reports an id that no row can have.
func checkID(name string, id int64) error {
	if id > 0 {
		return nil
	}
	return fmt.Errorf("%s is missing or not positive: give the number of a row, such as 100001", name)
}

// checkCartID reports an id that no cart can have.
func checkCartID(id string) error {
	if isUUID(id) {
		return nil
	}
	return fmt.Errorf("cart_id %q is not a UUID, such as 6f1ed002-ab54-4d9c-8b59-6e3a9f2d2c11", id)
}

// isUUID reports whether a text is a UUID in its usual form of 36 characters.
func isUUID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }

// mailTimeout bounds one attempt to send a mail.
const mailTimeout = 30 * time.Second

// cleanup declares a job that runs every day. It gets few attempts, because the
// next run does the same work.
func cleanup(kind string) jobs.Declaration {
	return jobs.Declaration{Kind: kind, Queue: jobs.Low, Attempts: 3, Timeout: 2 * time.Minute}
}
