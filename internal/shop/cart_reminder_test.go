package shop_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
		for _, words := range []string{"Harbour Enamel Mug", shop.Euros(2468).String(), "only 1 left", "sold out",
			"https://leeward.example/cart", reminder.Unsubscribe} {
			require.Contains(t, part, words)
		}
	}
}

// Anyone can type the address of somebody else into the form.
func TestSendCartReminder_HasNothingThatWasTypedIntoTheForm(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	cart := s.filledCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)
	typed := shop.Contact{
		Email: "victim@example.com", Name: "You won 500 EUR", Street: "Call 0900 123456", PostalCode: "4711", City: "Claim now", Country: "AT",
		Note: "Claim at http://prize.example.net/claim", RemindMe: true,
	}
	require.NoError(t, s.SaveContact(t.Context(), cart, typed))
	s.leave(t, cart)

	require.NoError(t, s.SendCartReminder(t.Context(), cart))

	require.Len(t, sender.sent, 1)
	reminder := sender.sent[0]
	require.Equal(t, "victim@example.com", reminder.To)
	for _, part := range []string{reminder.Text, reminder.HTML, reminder.Subject, reminder.Unsubscribe} {
		for _, words := range []string{typed.Name, typed.Street, typed.PostalCode, typed.City, typed.Note, "victim"} {
			require.NotContains(t, part, words)
		}
	}
}

func TestEndReminders_IsForGoodAndForEveryCartOfTheAddress(t *testing.T) {
	t.Parallel()
	sender := &sender{}
	s := newStore(t, sender.use)
	mug := s.variant(t, "harbour-enamel-mug", 9)
	require.NoError(t, s.SendCartReminder(t.Context(), s.leftCart(t, mug, 1)))
	token := strings.TrimPrefix(sender.sent[0].Unsubscribe, "https://leeward.example/reminders/")
	waiting := s.leftCart(t, mug, 1) // left before the reminders end
	s.exec(t, `UPDATE carts SET reminded_at = reminded_at - interval '8 days'`)

	ended, err := s.RemindersEnded(t.Context(), token)
	require.NoError(t, err)
	require.False(t, ended)
	for range 2 {
		require.NoError(t, s.EndReminders(t.Context(), token))
	}

	ended, err = s.RemindersEnded(t.Context(), token)
	require.NoError(t, err)
	require.True(t, ended)
	later := s.filledCart(t, mug, 1)
	shouting := contact()
	shouting.Email, shouting.RemindMe = "ADA@Example.COM", true // the form asks again
	require.NoError(t, s.SaveContact(t.Context(), later, shouting))
	s.leave(t, later)
	require.NoError(t, s.RemindOfCarts(t.Context()))
	require.Zero(t, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'send_cart_reminder'`))
	for _, cart := range []string{waiting, later} {
		require.NoError(t, s.SendCartReminder(t.Context(), cart))
	}
	require.Len(t, sender.sent, 1)

	s.exec(t, `UPDATE reminder_recipients SET reminded_at = now() - interval '2 years'`)
	require.NoError(t, s.ForgetOldCarts(t.Context()))
	require.Equal(t, 1, s.count(t, `SELECT count(*) FROM reminder_recipients`), "it is remembered for good")
	s.exec(t, `UPDATE reminder_recipients SET unsubscribed_at = NULL`)
	require.NoError(t, s.ForgetOldCarts(t.Context()))
	require.Zero(t, s.count(t, `SELECT count(*) FROM reminder_recipients`))
}

func TestEndReminders_RefusesAnUnknownToken(t *testing.T) {
	t.Parallel()
	s := newStore(t)

	for _, token := range []string{"", "x", strings.Repeat("A", 26), "a\x00", "a\xff", "' OR true --"} {
		require.ErrorIs(t, s.EndReminders(t.Context(), token), shop.ErrNotFound, token)
		_, err := s.RemindersEnded(t.Context(), token)
		require.ErrorIs(t, err, shop.ErrNotFound, token)
	}
}

func TestSendCartReminder_IsNotRepeatedAfterARefusalForGood(t *testing.T) {
	t.Parallel()
	sender := &sender{refuse: fmt.Errorf("%w: 550 no such user", mail.ErrUndeliverable)}
	s := newStore(t, sender.use)
	cart := s.leftCart(t, s.variant(t, "harbour-enamel-mug", 9), 1)

	require.ErrorIs(t, s.SendCartReminder(t.Context(), cart), mail.ErrUndeliverable)

	require.NoError(t, s.RemindOfCarts(t.Context()))
	require.Zero(t, s.count(t, `SELECT count(*) FROM river_job WHERE kind = 'send_cart_reminder'`))
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
		"never asked for a reminder": func(cart string) {
			require.NoError(t, s.SaveContact(t.Context(), cart, contact()))
			s.leave(t, cart)
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
		s.exec(t, `TRUNCATE orders, order_lines, carts, cart_lines, reminder_recipients`)
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
			INSERT INTO carts (id, updated_at, reminder_consent_at, email)
			SELECT gen_random_uuid(), now() - interval '25 hours', now(), 'someone-' || i || '@example.com' FROM generate_series(1, 600) AS i
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

// leftCart is a cart that is ready to buy and was left a day ago. Its shopper asked
// for a reminder.
func (s store) leftCart(t *testing.T, variant shop.Variant, units int) string {
	t.Helper()
	cart := s.filledCart(t, variant, units)
	asking := contact()
	asking.RemindMe = true
	require.NoError(t, s.SaveContact(t.Context(), cart, asking))
	s.leave(t, cart)
	return cart
}

// leave makes a cart look as if it was last touched a day ago.
func (s store) leave(t *testing.T, cart string) {
	t.Helper()
	_, err := s.db.Exec(t.Context(), `UPDATE carts SET updated_at = now() - interval '25 hours' WHERE id = $1`, cart)
	require.NoError(t, err)
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
