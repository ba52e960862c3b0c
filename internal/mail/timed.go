package mail

import (
	"context"

	"slipway/internal/telemetry"
)

// Timed returns a sender that sends through sender and times its mails.
func Timed(sender Sender, outgoing *telemetry.Outgoing) Sender { return timed{sender, outgoing} }

// Private

type timed struct {
	sender   Sender
	outgoing *telemetry.Outgoing
}

func (t timed) Send(ctx context.Context, message Message) error {
	return t.outgoing.Call(ctx, "mail", func(ctx context.Context) error { return t.sender.Send(ctx, message) })
}
