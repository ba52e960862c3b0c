package taskqueue

import (
	"encoding/json"
	"io/fs"
	"log/slog"
	"strconv"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// Private

func TestMain(m *testing.M) {
	failopen.LogThrough(func(string, error) {})
	m.Run()
}

// patience is how long a test waits for something that must happen.
const patience = stacktest.Patience

// queues are the queues of these tests.
var queues = []Queue{{"critical", 6}, {"default", 3}, {"low", 1}}

// migrations change nothing: these tests use the runtime's own tables.
var migrations fs.FS = fstest.MapFS{"00001_nothing.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}

// receive waits for a value that a handler sends.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

func newReporter() *telemetry.Reporter {
	return telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

func newTaskClient(t *testing.T, server *devstack.Redis) *Client {
	t.Helper()
	bounds := failopen.Options{URL: server.URL(), Timeout: 2 * time.Second, DialTimeout: 2 * time.Second, PoolTimeout: 2 * time.Second}
	client, err := NewClient(failopen.NewGuard(bounds, newReporter()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// enqueueWaves enqueues one task a name.
func enqueueWaves(t *testing.T, client *Client, names ...string) {
	t.Helper()
	messages := make([]Message, len(names))
	for i, name := range names {
		args, err := json.Marshal(map[string]string{"name": name})
		require.NoError(t, err)
		messages[i] = Message{Kind: "wave", Args: args, Queue: "default", Attempts: 4, Timeout: 30 * time.Second}
	}
	for _, outcome := range client.Enqueue(t.Context(), "test", messages...) {
		require.Equal(t, Accepted, outcome)
	}
}

func count(t *testing.T, db *pgxpool.Pool, query string) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRow(t.Context(), query).Scan(&n))
	return n
}

// statistic returns a number from the statistics of Redis.
func statistic(t *testing.T, client *redis.Client, name string) int {
	t.Helper()
	reply, err := client.InfoMap(t.Context(), "stats").Result()
	require.NoError(t, err)
	count, err := strconv.Atoi(reply["Stats"][name])
	require.NoError(t, err)
	return count
}
