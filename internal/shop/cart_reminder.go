package shop

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	htmltemplate "html/template"
	texttemplate "text/template"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/mail"
)

// RemindOfCarts enqueues reminders of carts that were abandoned a day ago, to
// shoppers who asked for one at the checkout. One run
// enqueues at most remindersAtOnce; the next run finds the rest.
func (s *Shop) RemindOfCarts(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT c.id::text
			FROM carts c
			WHERE `+isAbandoned+`
			ORDER BY c.updated_at
			LIMIT $1`, remindersAtOnce)
		if err != nil {
			return fmt.Errorf("find abandoned carts: %w", err)
		}
		carts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("find abandoned carts: %w", err)
		}
		reminders := make([]jobs.Args, len(carts))
		for i, id := range carts {
			reminders[i] = SendCartReminder{CartID: id}
		}
		return s.jobs.Enqueue(ctx, tx, reminders...)
	})
}

// SendCartReminder mails a reminder of a cart to the shopper who abandoned it, at
// most once, however many workers run it.
//
// It marks the cart before it sends the mail. A worker that dies in between sends
// nothing, and no other worker does: a missing reminder does less harm than a
// second one. SendOrderConfirmation prefers a second mail to none.
//
// When sending fails, the mark is removed and the job is retried. If the server
// did take the mail and only its reply was lost, the second copy has the same
// Message-ID. After a refusal for good the mark stays, or the next run of
// RemindOfCarts would send the mail again.
func (s *Shop) SendCartReminder(ctx context.Context, cartID string) error {
	cart, recipient, claimed, err := s.claimReminder(ctx, cartID)
	if err != nil || !claimed {
		return err
	}
	message, err := s.reminder(cart, recipient)
	if err == nil {
		err = s.mail.Send(ctx, message)
	}
	if err == nil {
		return nil
	}
	if !errors.Is(err, mail.ErrUndeliverable) {
		err = errors.Join(err, s.afterMail(ctx, `UPDATE carts SET reminded_at = NULL WHERE id = $1`, cartID))
	}
	return fmt.Errorf("remind of cart %s: %w", cartID, err)
}

// RemindersEnded reports whether the address of a reminder gets no more of them.
// The token is that of the reminder's link. The error is ErrNotFound for an
// unknown token.
func (s *Shop) RemindersEnded(ctx context.Context, token string) (ended bool, err error) {
	if !tokenPattern.MatchString(token) {
		return false, ErrNotFound
	}
	err = s.db.QueryRow(ctx, `SELECT unsubscribed_at IS NOT NULL FROM reminder_recipients WHERE token = $1`, token).Scan(&ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, ErrNotFound
	}
	if err != nil {
		return false, fmt.Errorf("find recipient of reminders: %w", err)
	}
	return ended, nil
}

// EndReminders ends reminders to the address of a reminder for good, also for
// carts that are filled later. The error is ErrNotFound for an unknown token.
func (s *Shop) EndReminders(ctx context.Context, token string) error {
	if !tokenPattern.MatchString(token) {
		return ErrNotFound
	}
	ended, err := s.db.Exec(ctx, `
		UPDATE reminder_recipients
		SET unsubscribed_at = coalesce(unsubscribed_at, now())
		WHERE token = $1`, token)
	if err != nil {
		return fmt.Errorf("end reminders: %w", err)
	}
	if ended.RowsAffected() == 0 {
		return ErrNotFound
	}
	return nil
}

// Private

// remindersAtOnce is the largest number of reminders of one run. It bounds how
// fast mails are sent after a time without workers.
const remindersAtOnce = 500

// recipientLifetime is how long the link in a reminder works.
const recipientLifetime = 365 * 24 * time.Hour

// recipient is the address of a reminder.
type recipient struct {
	email string
	token string // part of the link that ends reminders
}

// isAbandoned selects the carts c that are due for a reminder: one to three days
// old, with units in stock, and without an order since. The shopper asked for the
// reminder. An address gets one a week, because anyone can type it into many
// carts, and none after EndReminders.
const isAbandoned = `
	c.email <> '' AND c.reminder_consent_at IS NOT NULL AND c.reminded_at IS NULL
	AND c.updated_at <= now() - interval '1 day' AND c.updated_at > now() - interval '3 days'
	AND EXISTS (
		SELECT FROM cart_lines l
		JOIN variants v ON v.id = l.variant_id
		WHERE l.cart_id = c.id AND v.stock > 0
	)
	AND NOT EXISTS (SELECT FROM orders o WHERE o.placed_at >= c.updated_at AND lower(o.email) = lower(c.email))
	AND NOT EXISTS (SELECT FROM carts other WHERE lower(other.email) = lower(c.email) AND other.reminded_at > now() - interval '7 days')
	AND NOT EXISTS (SELECT FROM reminder_recipients r WHERE r.email = lower(c.email) AND r.unsubscribed_at IS NOT NULL)`

// claimReminder marks a cart as reminded, if it is still due, and reads it in the
// same transaction.
func (s *Shop) claimReminder(ctx context.Context, cartID string) (cart Cart, to recipient, claimed bool, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Carts of one address take turns, so that only one of them is reminded.
		_, err := tx.Exec(ctx, `
			SELECT pg_advisory_xact_lock(hashtextextended('cart_reminder ' || lower(email), 0))
			FROM carts
			WHERE id = $1`, cartID)
		if err != nil {
			return fmt.Errorf("wait for other reminders: %w", err)
		}
		marked, err := tx.Exec(ctx, `UPDATE carts c SET reminded_at = now() WHERE c.id = $1 AND `+isAbandoned, cartID)
		if err != nil {
			return fmt.Errorf("mark cart as reminded: %w", err)
		}
		if claimed = marked.RowsAffected() == 1; !claimed {
			return nil
		}
		if cart, err = readCart(ctx, tx, cartID); err != nil {
			return err
		}
		to, err = rememberRecipient(ctx, tx, cartID)
		return err
	})
	if err != nil {
		return Cart{}, recipient{}, false, fmt.Errorf("remind of cart %s: %w", cartID, err)
	}
	return cart, to, claimed, nil
}

// rememberRecipient stores the address of a cart with the token of its link.
func rememberRecipient(ctx context.Context, tx pgx.Tx, cartID string) (to recipient, err error) {
	if err := tx.QueryRow(ctx, `SELECT email FROM carts WHERE id = $1`, cartID).Scan(&to.email); err != nil {
		return recipient{}, fmt.Errorf("read the address of cart %s: %w", cartID, err)
	}
	err = tx.QueryRow(ctx, `
		INSERT INTO reminder_recipients (email, token) VALUES (lower($1), $2)
		ON CONFLICT (email) DO UPDATE SET reminded_at = now()
		RETURNING token`, to.email, rand.Text()).Scan(&to.token)
	if err != nil {
		return recipient{}, fmt.Errorf("store the recipient of a reminder: %w", err)
	}
	return to, nil
}

// forgetOldRecipients deletes addresses that got their last reminder long ago. An
// address that wants no reminders is kept, because nothing else remembers that.
func (s *Shop) forgetOldRecipients(ctx context.Context) error {
	_, err := s.db.Exec(ctx, `
		DELETE FROM reminder_recipients
		WHERE unsubscribed_at IS NULL AND reminded_at < now() - $1::interval`, recipientLifetime)
	if err != nil {
		return fmt.Errorf("delete old recipients of reminders: %w", err)
	}
	return nil
}

var (
	reminderText = texttemplate.Must(texttemplate.ParseFS(emails, "emails/cart_reminder.txt"))
	reminderHTML = htmltemplate.Must(htmltemplate.ParseFS(emails, "emails/cart_reminder.html"))
)

// reminder has nothing in it that was typed into a form: anyone can type the
// address of somebody else.
func (s *Shop) reminder(cart Cart, to recipient) (mail.Message, error) {
	page := struct {
		Cart
		Link        string
		Unsubscribe string
	}{cart, s.baseURL + "/cart", s.baseURL + "/reminders/" + to.token}

	var text, html bytes.Buffer
	if err := reminderText.Execute(&text, page); err != nil {
		return mail.Message{}, err
	}
	if err := reminderHTML.Execute(&html, page); err != nil {
		return mail.Message{}, err
	}
	return mail.Message{
		ID:      cart.ID + ".reminder@" + s.mailDomain(),
		To:      to.email,
		Subject: "Your cart at Leeward",
		Text:    text.String(),
		HTML:    html.String(),

		Unsubscribe: page.Unsubscribe,
	}, nil
}
