package shop

import (
	"context"
	"testing"
	"time"

	"slipway/internal/failopen"
	"slipway/internal/failopen/failopentest"
	"slipway/internal/payment"
)

// openRedis opens the guarded Redis at address, with its prober running. An
// empty address is a Redis that is switched off.
func openRedis(t testing.TB, address string) *failopen.Redis {
	t.Helper()
	opened, _ := failopentest.Open(t, failopen.Options{URL: address, Timeout: 500 * time.Millisecond})
	return opened
}

// GiveBack is giveBack, for tests of its race with an order.
func (s *Shop) GiveBack(ctx context.Context, purchase Purchase, authorization payment.Authorization) {
	s.giveBack(ctx, purchase, authorization)
}
