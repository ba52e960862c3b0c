// Package payment takes card payments through a gateway in two steps: Authorize
// reserves an amount on a card, Capture charges it. The gateway releases an amount
// that is never captured, so a crash between the steps charges no card.
package payment

import (
	"context"
	"errors"
)

// Gateway is a provider of card payments. Every method is idempotent by its key or
// authorization.
type Gateway interface {
	// Authorize reserves an amount on a card. A key that was used before returns
	// the same authorization, even one that was voided since. It returns
	// ErrDeclined, ErrCard, ErrRefused, or ErrUnconfirmed when the gateway does not
	// reply in time: retry with the same key then, because the amount may be
	// reserved.
	Authorize(ctx context.Context, request Request) (Authorization, error)
	// Capture charges the reserved amount. After ErrRefused, no later attempt can
	// succeed. After ErrUnconfirmed the outcome is unknown: try again, because an
	// amount is charged once however often it is captured.
	Capture(ctx context.Context, authorization string) error
	// Void releases the reserved amount. Its errors are those of Capture.
	Void(ctx context.Context, authorization string) error
}

// Request are the arguments of Authorize.
type Request struct {
	Key      string // idempotency key, the same for every attempt of one payment
	Cents    int64  // amount in hundredths of Currency
	Currency string // ISO 4217 code, such as "EUR"
	Card     string // card number, with or without spaces
}

// Authorization is an amount reserved on a card.
type Authorization struct {
	ID string
}

// Errors of a Gateway. After any other error, a later attempt may succeed.
var (
	ErrDeclined    = errors.New("the card was declined")
	ErrCard        = errors.New("the card number is not valid")
	ErrUnconfirmed = errors.New("the payment gateway did not reply")
	// ErrRefused means that the request itself is wrong, such as one for an
	// authorization that is unknown or has expired.
	ErrRefused = errors.New("the payment gateway refuses the request")
)
