package shop_test

import (
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
	"slipway/internal/jobs/jobstest"
	"slipway/internal/mail"
	"slipway/internal/shop"
)

func TestJobs_FailForGoodAtOnceWhenTheyCanNeverWork(t *testing.T) {
	t.Parallel()
	for reason, each := range map[string]struct {
		refuse error
		job    func(orderID int64) jobs.Args
	}{
		"the mail cannot be delivered": {
			refuse: fmt.Errorf("send mail: %w: 550 no such user", mail.ErrUndeliverable),
			job:    func(id int64) jobs.Args { return shop.SendOrderConfirmation{OrderID: id} },
		},
		"the payment gateway refuses the request": {job: func(id int64) jobs.Args { return shop.CapturePayment{OrderID: id} }},
		"not found":           {job: func(id int64) jobs.Args { return shop.SendOrderConfirmation{OrderID: id + 1} }},
		"order_id is missing": {job: func(int64) jobs.Args { return shop.CapturePayment{} }},
		"is not a UUID":       {job: func(int64) jobs.Args { return shop.SendCartReminder{CartID: "not-a-uuid"} }},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			sender := &sender{refuse: each.refuse}
			s := newStore(t, sender.use)
			order, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)))
			require.NoError(t, err)
			s.exec(t, `UPDATE orders SET payment_id = 'of another gateway'`)
			s.exec(t, `DELETE FROM river_job`)

			s.enqueue(t, each.job(order.ID))
			defer s.startWorkers(t, s.Shop)()

			stacktest.Eventually(t, func() bool {
				return s.count(t, `
					SELECT count(*) FROM river_job
					WHERE state = 'discarded' AND attempt = 1 AND errors[1]->>'error' LIKE '%' || $1 || '%'`, reason) == 1
			})
		})
	}
}

func TestJobs_AreRetriedWhenALaterAttemptCanSucceed(t *testing.T) {
	t.Parallel()
	sender := &sender{refuse: fmt.Errorf("connect to mail server: %w: 535 wrong password", mail.ErrSenderRefused)}
	s := newStore(t, sender.use)
	_, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)))
	require.NoError(t, err)

	defer s.startWorkers(t, s.Shop)()

	stacktest.Eventually(t, func() bool {
		return s.count(t, `
			SELECT count(*) FROM river_job
			WHERE kind = 'send_order_confirmation' AND state <> 'discarded' AND errors[1]->>'error' LIKE '%535 wrong password'`) == 1
	})
}

func TestJobs_EveryKindHasAHandler(t *testing.T) {
	t.Parallel()
	s := newStore(t)

	jobstest.RequireHandlers(t, ".", append(s.Jobs(), s.Tasks()...))
}

func TestJobs_RefuseWrittenArgsThatNameNothing(t *testing.T) {
	t.Parallel()
	s := shop.New(shop.Options{Registry: prometheus.NewRegistry()})
	handlers := append(s.Jobs(), s.Tasks()...)

	for kind, args := range map[string]string{
		"send_order_confirmation": `{"order_id": 0}`,
		"capture_payment":         `{}`,
		"send_cart_reminder":      `{"cart_id": "not-a-uuid"}`,
		"broadcast_cart":          `{}`,
		"broadcast_order":         `{"order_id": -1}`,
		"broadcast_sale":          `{}`,
	} {
		handler, known := handlers.Find(kind)
		require.True(t, known)
		require.ErrorContains(t, handler.CheckWritten([]byte(args)), "check the arguments of "+kind)
	}
	handler, _ := handlers.Find("send_cart_reminder")
	require.NoError(t, handler.CheckWritten([]byte(`{"cart_id": "6f1ed002-ab54-4d9c-8b59-6e3a9f2d2c11"}`)))
}

// Private

func (s store) enqueue(t *testing.T, job jobs.Args) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), s.db, func(tx pgx.Tx) error {
		return s.options.Jobs.Enqueue(t.Context(), tx, job)
	}))
}
