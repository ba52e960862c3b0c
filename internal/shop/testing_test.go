package shop

import (
	"testing"
	"time"

	"slipway/internal/failopen"
	"slipway/internal/failopen/failopentest"
)

// openRedis opens the guarded Redis at address, with its prober running. An
// empty address is a Redis that is switched off.
func openRedis(t testing.TB, address string) *failopen.Redis {
	t.Helper()
	opened, _ := failopentest.Open(t, failopen.Options{URL: address, Timeout: 500 * time.Millisecond})
	return opened
}
