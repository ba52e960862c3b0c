// Package mail sends messages to a mail server, or stores them in a directory for a
// developer.
package mail

import (
	"context"
	"errors"
	"fmt"
	netmail "net/mail"

	gomail "github.com/wneessen/go-mail"

	"slipway/internal/telemetry"
)

// Message is one mail. To, Subject and Text are required.
type Message struct {
	ID      string // Message-ID of RFC 5322, the same for every attempt to send this mail; empty: a random one
	To      string // one address, with or without a name
	Subject string
	Text    string
	HTML    string

	// Unsubscribe is the URL at which one POST, without a login, ends mails of this
	// kind to this address (RFC 8058). Empty: the mail has no such header.
	Unsubscribe string
}

// Sender sends mail. It may be called by several goroutines.
type Sender interface {
	// Send returns ErrUndeliverable when no later attempt can succeed. After any
	// other error, the same message may be sent again.
	Send(ctx context.Context, message Message) error
}

// Errors of Send.
var (
	// ErrUndeliverable means that this mail can never be delivered to this address.
	ErrUndeliverable = errors.New("the mail cannot be delivered")
	// ErrSenderRefused means that the mail server refuses this program: its login or
	// its address as a sender. It delivers mails after an operator has corrected that.
	ErrSenderRefused = errors.New("the mail server refuses this sender")
)

// Private

// compose returns the MIME form of a message. It names the request that caused the mail,
// by which an operator finds what a customer asks about.
func compose(ctx context.Context, from string, message Message) (*gomail.Msg, error) {
	composed := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("sender of mail: %w", err)
	}
	if carried, err := Address(sender.Address); err == nil { // else the mail server decides
		sender.Address = carried
	}
	recipient, err := recipientOf(message)
	if err != nil {
		return nil, fmt.Errorf("recipient of mail: %w: %w", ErrUndeliverable, err)
	}
	composed.FromMailAddress(sender)
	composed.ToMailAddress(recipient)
	composed.Subject(message.Subject)
	composed.SetDate()
	if message.ID != "" {
		composed.SetMessageIDWithValue(message.ID)
	}
	if id := telemetry.RequestID(ctx); id != "" {
		composed.SetGenHeader("X-Request-ID", id)
	}
	if message.Unsubscribe != "" {
		composed.SetGenHeader(gomail.HeaderListUnsubscribe, "<"+message.Unsubscribe+">")
		composed.SetGenHeader(gomail.HeaderListUnsubscribePost, "List-Unsubscribe=One-Click")
	}
	composed.SetBodyString(gomail.TypeTextPlain, message.Text)
	if message.HTML != "" {
		composed.AddAlternativeString(gomail.TypeTextHTML, message.HTML)
	}
	return composed, nil
}

func recipientOf(message Message) (*netmail.Address, error) {
	recipient, err := netmail.ParseAddress(message.To)
	if err != nil {
		return nil, err
	}
	recipient.Address, err = Address(recipient.Address)
	return recipient, err
}
