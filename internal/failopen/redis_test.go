package failopen

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestRedis_EveryCallReturnsInTimeWithoutRedis(t *testing.T) {
	t.Parallel()
	stopped, frozen := stacktest.Redis(t), stacktest.Redis(t)
	require.NoError(t, stopped.Kill())
	require.NoError(t, frozen.Freeze())
	guarded := map[string]*Redis{
		"disabled":       open(t, ""),
		"stopped":        open(t, stopped.URL()),
		"frozen":         open(t, frozen.URL()),
		"wrong password": open(t, withPassword(t, stacktest.Redis(t).URL(), "wrong")),
		"no such host":   open(t, "redis://no-such-host.invalid:6379"),
	}

	for name, r := range guarded {
		started := time.Now()
		for range 100 {
			number := int64(0)
			require.False(t, r.Run(t.Context(), "test", addScript, []string{"sum"}, []any{1}, readNumber(&number)), name)
			require.Zero(t, number, name)
			require.False(t, r.Command(t.Context(), "test", "get", []string{"sum"}, readNumber(&number)), name)
			require.Zero(t, number, name)
			require.False(t, r.Ping(t.Context(), "test"), name)
		}
		// Three calls may wait for the timeout, of three hundred.
		require.Less(t, time.Since(started), 5*time.Second, name)
		require.Equal(t, name != "disabled", isOpen(r), name)
	}
}

func TestOpen_DoesNotRepeatAnAddressThatItCannotRead(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"redis://:hunter2@host:port", "hunter2", "redis://:hunter2@host/x?y=hunter2"} {
		_, err := Open(NewGuard(Options{URL: address}, nil))

		require.ErrorContains(t, err, "read the address of Redis")
		require.NotContains(t, err.Error(), "hunter2")
	}
}
