package stacktest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Patience is how long a test waits for something that must happen. A busy
// machine needs far more time than an idle one.
const Patience = 30 * time.Second

// Eventually waits until condition is true, and fails the test after Patience.
// What says what was expected, as the arguments of require.Eventually do.
func Eventually(t testing.TB, condition func() bool, what ...any) {
	t.Helper()
	require.Eventually(t, condition, Patience, 10*time.Millisecond, what...)
}
