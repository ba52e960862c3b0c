// Package mail sends messages to a mail server, or stores them in a directory for a
// developer.
package mail

import (
	"context"
	"fmt"

	gomail "github.com/wneessen/go-mail"
)

// Message is one mail. To, Subject and Text are required.
type Message struct {
	ID      string // Message-ID of RFC 5322, the same for every attempt to send this mail; empty: a random one
	To      string // one address, with or without a name
	Subject string
	Text    string
	HTML    string
}

// Sender sends mail. It may be called by several goroutines.
type Sender interface {
	Send(ctx context.Context, message Message) error
}

// Private

// compose returns the MIME form of a message.
func compose(from string, message Message) (*gomail.Msg, error) {
	composed := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := composed.From(from); err != nil {
		return nil, fmt.Errorf("sender of mail: %w", err)
	}
	if err := composed.To(message.To); err != nil {
		return nil, fmt.Errorf("recipient of mail: %w", err)
	}
	composed.Subject(message.Subject)
	composed.SetDate()
	if message.ID != "" {
		composed.SetMessageIDWithValue(message.ID)
	}
	composed.SetBodyString(gomail.TypeTextPlain, message.Text)
	if message.HTML != "" {
		composed.AddAlternativeString(gomail.TypeTextHTML, message.HTML)
	}
	return composed, nil
}
