// Package payment moves money through a gateway in two steps: authorize sets
// the amount aside, capture takes it. What is never captured goes back to the
// customer by itself, so a crash between the steps costs nobody anything.
package payment

import (
	"context"
	"errors"
)

// Gateway is a provider of card payments. Every method may be called again
// with the same key or authorization, and then does nothing new.
type Gateway interface {
	// Authorize sets amount aside on a card. A key that was used before gives the
	// same authorization again, also one that was voided since. It returns ErrDeclined, ErrCard or,
	// when the gateway gave no answer in time, ErrUnconfirmed: then the same key
	// must be tried again, because the money may have been set aside.
	Authorize(ctx context.Context, request Request) (Authorization, error)
	// Capture takes the authorized money.
	Capture(ctx context.Context, authorization string) error
	// Void gives the authorized money back.
	Void(ctx context.Context, authorization string) error
}

// Request asks for money.
type Request struct {
	Key      string // the same for every try of one purchase
	Cents    int64
	Currency string // ISO 4217
	Card     string // number, digits with or without spaces
}

// Authorization is money set aside.
type Authorization struct {
	ID string
}

// What can go wrong in the customer's sight.
var (
	ErrDeclined    = errors.New("the card was declined")
	ErrCard        = errors.New("the card number is not valid")
	ErrUnconfirmed = errors.New("the payment gateway gave no answer")
)
