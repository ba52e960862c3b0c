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

// RemindOfCarts enqueues a reminder for carts that were left a day ago and not
// ordered, at most remindersAtOnce of them: the next run finds the others.
func (s *Shop) RemindOfCarts(ctx context.Context) error {
	return pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			SELECT c.id::text
			FROM carts c
			WHERE `+isLeft+`
			ORDER BY c.updated_at
			LIMIT $1`, remindersAtOnce)
		if err != nil {
			return fmt.Errorf("find carts that were left: %w", err)
		}
		carts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("find carts that were left: %w", err)
		}
		reminders := make([]jobs.Args, len(carts))
		for i, id := range carts {
			reminders[i] = SendCartReminder{CartID: id}
		}
		return s.jobs.Enqueue(ctx, tx, reminders...)
	})
}

// SendCartReminder mails what is in a cart to the shopper who left it, once.
//
// The cart is marked before the mail is sent, so however often it runs, and in
// however many workers at once, one of them sends. A worker that dies between
// the two sends nothing, and nobody will: a reminder that never comes is missed
// by nobody, one that comes twice is a nuisance. A confirmation errs on the
// other side, see SendOrderConfirmation. When the mail server refuses the mail
// or cannot be reached, the mark is taken back and the job tries again; should
// the server have taken the mail and only its answer been lost, the second copy
// carries the same Message-ID.
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

// remindersAtOnce bounds one run, and with it how fast mails go out after a
// time without any worker.
const remindersAtOnce = 500

// isLeft chooses the carts c that are to be reminded of. Nobody wants to hear
// of a cart after three days, or of a second one within a week: somebody may
// have typed the address of another into many.
const isLeft = `
	c.email <> '' AND c.reminded_at IS NULL
	AND c.updated_at <= now() - interval '1 day' AND c.updated_at > now() - interval '3 days'
	AND EXISTS (
		SELECT FROM cart_lines l
		JOIN variants v ON v.id = l.variant_id
		WHERE l.cart_id = c.id AND v.stock > 0
	)
	AND NOT EXISTS (SELECT FROM orders o WHERE o.placed_at >= c.updated_at AND lower(o.email) = lower(c.email))
	AND NOT EXISTS (SELECT FROM carts other WHERE lower(other.email) = lower(c.email) AND other.reminded_at > now() - interval '7 days')`

// claimReminder marks a cart as reminded of, if it is still to be, and reads
// it. Shoppers and orders change it before that or after it.
func (s *Shop) claimReminder(ctx context.Context, cartID string) (cart Cart, contact Contact, claimed bool, err error) {
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error {
		// Carts of one address take turns: the one mail is for one of them.
		_, err := tx.Exec(ctx, `
			SELECT pg_advisory_xact_lock(hashtextextended('cart_reminder ' || lower(email), 0))
			FROM carts
			WHERE id = $1`, cartID)
		if err != nil {
			return fmt.Errorf("wait for other reminders: %w", err)
		}
		marked, err := tx.Exec(ctx, `UPDATE carts c SET reminded_at = now() WHERE c.id = $1 AND `+isLeft, cartID)
		if err != nil {
			return fmt.Errorf("mark cart as reminded of: %w", err)
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
