package shop_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/mail"
	"slipway/internal/shop"
)

func TestSendCartReminder_ListsTheCartAtCurrentPrices(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	cart := s.leftCart(t, mug, 2)
	s.exec(t, `UPDATE variants SET price_cents = 1234 WHERE id = `+fmt.Sprint(mug.ID))
	soap := s.variant(t, "kelp-soap", 1)
	s.exec(t, fmt.Sprintf(`INSERT INTO cart_lines (cart_id, variant_id, quantity) VALUES ('%s', %d, 3)`, cart, soap.ID))
	gone := s.variant(t, "manila-line", 0)
	s.exec(t, fmt.Sprintf(`INSERT INTO cart_lines (cart_id, variant_id, quantity) VALUES ('%s', %d, 1)`, cart, gone.ID))

	require.NoError(t, s.SendCartReminder(t.Context(), cart))

	require.Len(t, sender.sent, 1)
	reminder := sender.sent[0]
	require.Equal(t, "ada@example.com", reminder.To)
	for _, part := range []string{reminder.Text, reminder.HTML} {
		for _, words := range []string{"Ada Lovelace", "Harbour Enamel Mug", shop.Euros(2468).String(), "only 1 left", "sold out",
			"https://leeward.example/cart"} {
			require.Contains(t, part, words)
		}
	}
}

func TestSendCartReminder_SendsOneMailHoweverOftenItRuns(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	cart, another := s.leftCart(t, mug, 1), s.leftCart(t, mug, 1)

	var workers sync.WaitGroup
	for range 5 {
		workers.Go(func() { require.NoError(t, s.SendCartReminder(t.Context(), cart)) })
		workers.Go(func() { require.NoError(t, s.SendCartReminder(t.Context(), another)) })
	}
	workers.Wait()
	require.NoError(t, s.SendCartReminder(t.Context(), cart))

	require.Len(t, sender.sent, 1, "the other cart is of the same address")
	s.exec(t, `DELETE FROM carts WHERE reminded_at IS NULL`)
	s.exec(t, `UPDATE carts SET reminded_at = now() - interval '8 days'`)
	require.NoError(t, s.SendCartReminder(t.Context(), cart))
	require.NoError(t, s.SendCartReminder(t.Context(), another))
	require.Len(t, sender.sent, 1, "once a cart, also when it was touched and left again")
}

func TestSendCartReminder_SkipsCartsThatAreNotAbandoned(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	soap := s.variant(t, "kelp-soap", 9)

	for reason, change := range map[string]func(cart string){
		"touched today": func(cart string) {
			require.NoError(t, s.SetQuantity(t.Context(), cart, mug.ID, 2))
		},
		"touched long ago": func(string) {
			s.exec(t, `UPDATE carts SET updated_at = now() - interval '4 days'`)
		},
		"without an address": func(string) {
			s.exec(t, `UPDATE carts SET email = ''`)
		},
		"emptied": func(cart string) {
			require.NoError(t, s.SetQuantity(t.Context(), cart, mug.ID, 0))
			s.exec(t, `UPDATE carts SET updated_at = now() - interval '25 hours'`)
		},
		"ordered": func(cart string) {
			_, err := s.PlaceOrder(t.Context(), purchase(cart))
			require.NoError(t, err)
		},
		"ordered in another browser": func(string) {
			other := s.filledCart(t, soap, 1)
			shouting := contact()
			shouting.Email = "ADA@example.com"
			require.NoError(t, s.SaveContact(t.Context(), other, shouting))
			_, err := s.PlaceOrder(t.Context(), purchase(other))
			require.NoError(t, err)
		},
		"sold out": func(string) {
			s.variant(t, "harbour-enamel-mug", 0)
		},
	} {
		s.exec(t, `TRUNCATE orders, order_lines, carts, cart_lines`)
		s.variant(t, "harbour-enamel-mug", 9)
		cart := s.leftCart(t, mug, 1)
		change(cart)
		require.NoError(t, s.RemindOfCarts(t.Context()))
		require.Zero(t, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'send_cart_reminder'`), reason)
		require.NoError(t, s.SendCartReminder(t.Context(), cart), "enqueued before")
		require.Empty(t, sender.sent, reason)
		require.Zero(t, s.count(t, `SELECT count(*) FROM carts WHERE reminded_at IS NOT NULL`), reason)
	}
	require.NoError(t, s.SendCartReminder(t.Context(), uuid.NewString()), "a cart that is gone")
}

func TestSendCartReminder_RetriesWhenSendingFails(t *testing.T) {
	t.Parallel()
	sender := &sender{refuse: errors.New("451 try later")}
	s := newStore(t, sender.use)
	cart := s.leftCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)
	stopping, cancel := context.WithCancel(t.Context())
	sender.whileSending = cancel // the worker must also stop

	require.ErrorIs(t, s.SendCartReminder(stopping, cart), sender.refuse)
	sender.refuse, sender.whileSending = nil, nil
	require.NoError(t, s.SendCartReminder(t.Context(), cart))

	require.Len(t, sender.sent, 1)
}

func TestSendCartReminder_IsNotRepeatedAfterAWorkerDied(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	cart := s.leftCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)
	// Death while it sends: nothing after that is done.
	sender.whileSending = func() { panic("killed") }
	require.PanicsWithValue(t, "killed", func() { _ = s.SendCartReminder(t.Context(), cart) })
	sender.whileSending = nil

	require.NoError(t, s.SendCartReminder(t.Context(), cart))

	require.Empty(t, sender.sent)
}

func TestRemindOfCarts_EnqueuesEachCartOnceAndABoundedNumber(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	cart := s.leftCart(t, mug, 1)

	for range 2 {
		require.NoError(t, s.RemindOfCarts(t.Context()))
	}
	require.Equal(t, 1, s.count(t, `
		SELECT count(*) FROM river_job
		WHERE kind = 'send_cart_reminder' AND args->>'cart_id' = $1 AND queue = 'low'`, cart))

	s.exec(t, fmt.Sprintf(`
		WITH many AS (
			INSERT INTO carts (id, updated_at, email)
			SELECT gen_random_uuid(), now() - interval '25 hours', 'someone-' || i || '@example.com' FROM generate_series(1, 600) AS i
			RETURNING id
		)
		INSERT INTO cart_lines (cart_id, variant_id, quantity) SELECT id, %d, 1 FROM many`, mug.ID))
	s.exec(t, `DELETE FROM river_job`)
	require.NoError(t, s.RemindOfCarts(t.Context()))
	require.Equal(t, 500, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'send_cart_reminder'`))
}

func TestRecurringWork_RemindsOfAnAbandonedCart(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	cart := s.leftCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)
	stop := s.startWorkers(t, s.process(t, ""), s.process(t, ""))
	defer stop()

	require.NoError(t, s.RemindOfCarts(t.Context()))

	stacktest.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'send_cart_reminder' AND state = 'completed'`) == 1
	})
	require.Len(t, sender.all(), 1)
	require.Contains(t, sender.all()[0].ID, cart)
}

func TestSendOrderConfirmation_SeveralWorkersSendOneMail(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	order, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)))
	require.NoError(t, err)

	results := make([]error, 8)
	var workers sync.WaitGroup
	for i := range results {
		workers.Go(func() { results[i] = s.SendOrderConfirmation(t.Context(), order.ID) })
	}
	workers.Wait()
	require.NoError(t, s.SendOrderConfirmation(t.Context(), order.ID), "those that were to come later find it done")

	require.Len(t, sender.sent, 1)
}

func TestSendOrderConfirmation_SendsAgainAfterAWorkerDied(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	order, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)))
	require.NoError(t, err)
	sender.whileSending = func() { panic("killed") }
	require.PanicsWithValue(t, "killed", func() { _ = s.SendOrderConfirmation(t.Context(), order.ID) })
	sender.whileSending = nil

	require.Error(t, s.SendOrderConfirmation(t.Context(), order.ID), "it may still be on its way")
	require.Empty(t, sender.sent)
	s.exec(t, `UPDATE orders SET confirming_at = confirming_at - interval '1 minute'`)
	require.NoError(t, s.SendOrderConfirmation(t.Context(), order.ID))

	require.Len(t, sender.sent, 1)
}

func TestSendOrderConfirmation_RetriesAtOnceWhenSendingFails(t *testing.T) {
	t.Parallel()
	sender := &sender{refuse: errors.New("451 try later")}
	s := newStore(t, sender.use)
	order, err := s.PlaceOrder(t.Context(), purchase(s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)))
	require.NoError(t, err)

	require.ErrorIs(t, s.SendOrderConfirmation(t.Context(), order.ID), sender.refuse)
	sender.refuse = nil
	require.NoError(t, s.SendOrderConfirmation(t.Context(), order.ID))

	require.Len(t, sender.sent, 1)
}

// leftCart is a cart that is ready to buy and was left a day ago.
func (s store) leftCart(t *testing.T, variant shop.Variant, units int) string {
	t.Helper()
	cart := s.filledCart(t, variant, units)
	_, err := s.db.Exec(t.Context(), `UPDATE carts SET updated_at = now() - interval '25 hours' WHERE id = $1`, cart)
	require.NoError(t, err)
	return cart
}

// sender counts every mail, also those with the same id.
type sender struct {
	mutex        sync.Mutex
	sent         []mail.Message
	refuse       error
	whileSending func() // may be nil
}

func (s *sender) use(options *shop.Options) { options.Mail = s }

func (s *sender) Send(_ context.Context, message mail.Message) error {
	if s.whileSending != nil {
		s.whileSending()
	}
	if s.refuse != nil {
		return s.refuse
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.sent = append(s.sent, message)
	return nil
}

func (s *sender) all() []mail.Message {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.sent
}
