package payment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// TestCard is a card number that makes the Sandbox behave in one way.
type TestCard struct {
	Number string
	Says   string
}

// The cards of the Sandbox.
const (
	cardSucceeds = "4242424242424242"
	cardDeclined = "4000000000000002"
	cardTimesOut = "4000000000000341"
)

// TestCards are all cards that the Sandbox knows, the one that works first.
var TestCards = []TestCard{
	{"4242 4242 4242 4242", "Payment succeeds"},
	{"4000 0000 0000 0002", "Card is declined"},
	{"4000 0000 0000 0341", "Gateway does not answer"},
}

// Sandbox is a gateway without money. It keeps nothing: an authorization's ID
// follows from its key.
type Sandbox struct {
	timeout time.Duration
}

// NewSandbox makes a gateway whose silent card is silent for timeout.
func NewSandbox(timeout time.Duration) *Sandbox {
	return &Sandbox{timeout: timeout}
}

// Authorize does as the card number says.
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

// Capture takes what was authorized.
func (s *Sandbox) Capture(_ context.Context, authorization string) error {
	return s.known(authorization)
}

// Void gives back what was authorized.
func (s *Sandbox) Void(_ context.Context, authorization string) error {
	return s.known(authorization)
}

// Private

func (s *Sandbox) known(authorization string) error {
	if !strings.HasPrefix(authorization, "sandbox_") {
		return fmt.Errorf("the sandbox gateway did not authorize %q", authorization)
	}
	return nil
}
