// Package stacktest gives tests real servers of their own, and a log that they
// can read.
package stacktest

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

// Redis starts a Redis that only this test knows. It ends with the test.
func Redis(t testing.TB) *devstack.Redis {
	t.Helper()
	return RedisWith(t, devstack.RedisOptions{Dir: t.TempDir()})
}

// RedisWith is Redis with options of the test's own.
func RedisWith(t testing.TB, options devstack.RedisOptions) *devstack.Redis {
	t.Helper()
	server, err := devstack.StartRedis(t.Context(), options)
	require.NoError(t, err)
	stopLater(t, server)
	return server
}

// Postgres starts a PostgreSQL that only this test knows, with an empty
// database. It ends with the test. Package pgtest is quicker where a test does
// no harm to the server.
func Postgres(t testing.TB) *devstack.Postgres {
	t.Helper()
	server, err := devstack.StartPostgres(t.Context(), devstack.PostgresOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	stopLater(t, server)
	return server
}

// Journal is a log that several goroutines may write and a test may read.
type Journal struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

// Logger logs to the journal as text.
func (j *Journal) Logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// Write adds to the journal.
func (j *Journal) Write(line []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.buffer.Write(line)
}

// String is all that was written.
func (j *Journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.buffer.String()
}

// Private

type server interface {
	Thaw() error
	Stop(ctx context.Context) error
}

func stopLater(t testing.TB, server server) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		_ = server.Thaw() // a frozen one would not stop
		require.NoError(t, server.Stop(ctx))
	})
}
