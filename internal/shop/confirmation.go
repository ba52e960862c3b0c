package shop

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	texttemplate "text/template"
	"time"

	"slipway/internal/jobs"
	"slipway/internal/mail"
)

// SendOrderConfirmation mails the confirmation of an order to its shopper. Several
// workers may run it at once and repeatedly: while one sends, the others snooze,
// and a sent confirmation is not sent again.
//
// It marks the order as confirmed after the mail was sent, so that no order stays
// without a mail. If a worker dies in between, or stalls for too long, a second
// copy with the same Message-ID is sent.
func (s *Shop) SendOrderConfirmation(ctx context.Context, orderID int64) error {
	order, err := readOrder(ctx, s.db, `o.id = $1`, orderID)
	if err != nil {
		return fmt.Errorf("confirm order %d: %w", orderID, err)
	}
	if order.confirmed {
		return nil
	}
	message, err := s.confirmation(order)
	if err != nil {
		return fmt.Errorf("write confirmation of order %d: %w", orderID, err)
	}
	claimed, err := s.db.Exec(ctx, `
		UPDATE orders
		SET confirming_at = now()
		WHERE id = $1 AND confirmed_at IS NULL AND (confirming_at IS NULL OR confirming_at < now() - $2::interval)`, orderID, 2*mailTimeout)
	if err != nil {
		return fmt.Errorf("claim confirmation of order %d: %w", orderID, err)
	}
	if claimed.RowsAffected() == 0 {
		return jobs.Snooze(mailTimeout/3, "another worker sends the confirmation")
	}
	if err := s.mail.Send(ctx, message); err != nil {
		err = errors.Join(err, s.afterMail(ctx, `UPDATE orders SET confirming_at = NULL WHERE id = $1`, orderID))
		return fmt.Errorf("confirm order %d: %w", orderID, err)
	}
	if err := s.afterMail(ctx, `UPDATE orders SET confirmed_at = now() WHERE id = $1`, orderID); err != nil {
		return fmt.Errorf("mark order %d as confirmed: %w", orderID, err)
	}
	return nil
}

// Private

//go:embed emails
var emails embed.FS

var (
	confirmationText = texttemplate.Must(texttemplate.ParseFS(emails, "emails/order_confirmation.txt"))
	confirmationHTML = htmltemplate.Must(htmltemplate.ParseFS(emails, "emails/order_confirmation.html"))
)

// afterMail stores the result of sending a mail. It runs even while the worker
// stops.
func (s *Shop) afterMail(ctx context.Context, statement string, id any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.db.Exec(ctx, statement, id); err != nil {
		return fmt.Errorf("store the result of sending: %w", err)
	}
	return nil
}

func (s *Shop) confirmation(order Order) (mail.Message, error) {
	page := struct {
		Order
		Link string
	}{order, s.baseURL + "/orders/" + order.Token}

	var text, html bytes.Buffer
	if err := confirmationText.Execute(&text, page); err != nil {
		return mail.Message{}, err
	}
	if err := confirmationHTML.Execute(&html, page); err != nil {
		return mail.Message{}, err
	}
	return mail.Message{
		ID:      order.Number + ".confirmation@" + s.mailDomain(),
		To:      order.Contact.Email,
		Subject: "Your Leeward order " + order.Number,
		Text:    text.String(),
		HTML:    html.String(),
	}, nil
}

// mailDomain is the domain of Message-IDs.
func (s *Shop) mailDomain() string {
	address, err := url.Parse(s.baseURL)
	if err != nil || address.Hostname() == "" {
		return "localhost"
	}
	return address.Hostname()
}
