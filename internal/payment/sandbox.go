package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// TestCard is a card number for which the Sandbox always has the same outcome.
type TestCard struct {
	Number  string
	Outcome string // shown on the payment form
}

const (
	cardSucceeds = "4242424242424242"
	cardDeclined = "4000000000000002"
	cardTimesOut = "4000000000000341"
)

// TestCards are all card numbers of the Sandbox. The first is the one that succeeds.
var TestCards = []TestCard{
	{"4242 4242 4242 4242", "Payment succeeds"},
	{"4000 0000 0000 0002", "Card is declined"},
	{"4000 0000 0000 0341", "Gateway does not answer"},
}

// Sandbox is a gateway that moves no money. It has no state: an authorization's ID
// is a hash of its key.
type Sandbox struct {
	timeout time.Duration
}

// NewSandbox returns a gateway that returns ErrUnconfirmed after timeout for the card
// without a reply.
func NewSandbox(timeout time.Duration) *Sandbox {
	return &Sandbox{timeout: timeout}
}

// Authorize returns the outcome of the card number, and ErrCard for a number that is
// not one of TestCards.
func (s *Sandbox) Authorize(ctx context.Context, request Request) (Authorization, error) {
	switch strings.ReplaceAll(request.Card, " ", "") {
	case cardSucceeds:
		sum := sha256.Sum256([]byte(request.Key))
		return Authorization{ID: "sandbox_" + hex.EncodeToString(sum[:12])}, nil
	case cardDeclined:
		return Authorization{}, ErrDeclined
	case cardTimesOut:
		select {
		case <-ctx.Done():
			return Authorization{}, fmt.Errorf("%w: %w", ErrUnconfirmed, ctx.Err())
		case <-time.After(s.timeout):
			return Authorization{}, fmt.Errorf("%w within %s", ErrUnconfirmed, s.timeout)
		}
	default:
		return Authorization{}, ErrCard
	}
}

// Capture returns ErrRefused for an authorization that is not the Sandbox's.
func (s *Sandbox) Capture(_ context.Context, authorization string) error {
	return s.check(authorization)
}

// Void returns ErrRefused for an authorization that is not the Sandbox's.
func (s *Sandbox) Void(_ context.Context, authorization string) error {
	return s.check(authorization)
}

// Private

func (s *Sandbox) check(authorization string) error {
	if !strings.HasPrefix(authorization, "sandbox_") {
		return fmt.Errorf("%w: the sandbox did not authorize %q", ErrRefused, authorization)
	}
	return nil
}
