package shop

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"net/url"
	texttemplate "text/template"

	"slipway/internal/mail"
)

// SendOrderConfirmation mails an order to its shopper. It may run twice: what
// was sent is not sent again, and a second copy of a mail that was on its way
// when a worker died carries the same Message-ID.
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
	if err := s.mail.Send(ctx, message); err != nil {
		return fmt.Errorf("confirm order %d: %w", orderID, err)
	}
	if _, err := s.db.Exec(ctx, `UPDATE orders SET confirmed_at = now() WHERE id = $1`, orderID); err != nil {
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

// mailDomain is the right side of Message-IDs.
func (s *Shop) mailDomain() string {
	address, err := url.Parse(s.baseURL)
	if err != nil || address.Hostname() == "" {
		return "localhost"
	}
	return address.Hostname()
}
