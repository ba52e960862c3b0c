// Package mail sends messages: to a mail server, or into a directory where a
// developer can read them.
package mail

import (
	"context"
	"fmt"

	gomail "github.com/wneessen/go-mail"
)

// Message is one mail. Text is required, HTML may be empty.
type Message struct {
	ID      string // unique name of this mail: sending it twice gives one Message-ID
	To      string
	Subject string
	Text    string
	HTML    string
}

// Sender sends mail.
type Sender interface {
	Send(ctx context.Context, message Message) error
}

// Private

// compose makes the MIME form of a message.
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
