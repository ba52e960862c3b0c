package shop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	htmltemplate "html/template"
	texttemplate "text/template"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/mail"
)

// RemindOfCarts enqueues reminders of carts that were abandoned a day ago. One run
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
// Message-ID.
func (s *Shop) SendCartReminder(ctx context.Context, cartID string) error {
	cart, contact, claimed, err := s.claimReminder(ctx, cartID)
	if err != nil || !claimed {
		return err
	}
	message, err := s.reminder(cart, contact)
	if err == nil {
		err = s.mail.Send(ctx, message)
	}
	if err != nil {
		err = errors.Join(err, s.afterMail(ctx, `UPDATE carts SET reminded_at = NULL WHERE id = $1`, cartID))
		return fmt.Errorf("remind of cart %s: %w", cartID, err)
	}
	return nil
}

// Private

// remindersAtOnce is the largest number of reminders of one run. It bounds how
// fast mails are sent after a time without workers.
const remindersAtOnce = 500

// isAbandoned selects the carts c that are due for a reminder: one to three days
// old, with units in stock, and without an order since. An address gets one
// reminder a week, because anyone can type it into many carts.
const isAbandoned = `
	c.email <> '' AND c.reminded_at IS NULL
	AND c.updated_at <= now() - interval '1 day' AND c.updated_at > now() - interval '3 days'
	AND EXISTS (
		SELECT FROM cart_lines l
		JOIN variants v ON v.id = l.variant_id
		WHERE l.cart_id = c.id AND v.stock > 0
	)
	AND NOT EXISTS (SELECT FROM orders o WHERE o.placed_at >= c.updated_at AND lower(o.email) = lower(c.email))
	AND NOT EXISTS (SELECT FROM carts other WHERE lower(other.email) = lower(c.email) AND other.reminded_at > now() - interval '7 days')`

// claimReminder marks a cart as reminded, if it is still due, and reads it in the
// same transaction.
func (s *Shop) claimReminder(ctx context.Context, cartID string) (cart Cart, contact Contact, claimed bool, err error) {
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
		contact, err = readContact(ctx, tx, cartID)
		return err
	})
	if err != nil {
		return Cart{}, Contact{}, false, fmt.Errorf("remind of cart %s: %w", cartID, err)
	}
	return cart, contact, claimed, nil
}

var (
	reminderText = texttemplate.Must(texttemplate.ParseFS(emails, "emails/cart_reminder.txt"))
	reminderHTML = htmltemplate.Must(htmltemplate.ParseFS(emails, "emails/cart_reminder.html"))
)

func (s *Shop) reminder(cart Cart, contact Contact) (mail.Message, error) {
	page := struct {
		Cart
		Name string
		Link string
	}{cart, contact.Name, s.baseURL + "/cart"}

	var text, html bytes.Buffer
	if err := reminderText.Execute(&text, page); err != nil {
		return mail.Message{}, err
	}
	if err := reminderHTML.Execute(&html, page); err != nil {
		return mail.Message{}, err
	}
	return mail.Message{
		ID:      cart.ID + ".reminder@" + s.mailDomain(),
		To:      contact.Email,
		Subject: "Your cart at Leeward",
		Text:    text.String(),
		HTML:    html.String(),
	}, nil
}
