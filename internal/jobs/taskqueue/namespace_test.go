package taskqueue

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/postgres/pgtest"
)

// installation is what one of two installations on a Redis has of this package.
type installation struct {
	client    *Client
	inspector *Inspector
	depth     *DepthReader
	runs      chan Run
	ended     chan error
}

func TestNamespace_TwoInstallationsShareNoTask(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	a, b := install(t, server, "slipway:a"), install(t, server, "slipway:b")
	a.enqueue(t, "only a")
	a.enqueue(t, "same")
	b.enqueue(t, "same")

	depths, ok := a.depth.Read(t.Context(), "test")
	require.True(t, ok)
	names, err := a.inspector.QueueNames()
	require.NoError(t, err)
	pending, err := b.inspector.List(t.Context(), "default", Pending, Place{}, 10)
	require.NoError(t, err)

	require.Len(t, depths, len(queues))
	require.Contains(t, depths, Depth{Queue: "default", Waiting: 2, Oldest: depths[indexOf(depths, "default")].Oldest})
	require.ElementsMatch(t, namesOf(queues), names)
	require.Len(t, pending.Tasks, 1)
	require.Equal(t, "default", pending.Tasks[0].Queue)

	b.serve(t, server, "slipway:b")
	run := receive(t, b.runs)
	require.Equal(t, "same", run.ID)
	require.Equal(t, "default", run.Queue)
	require.Equal(t, Pending, a.client.State(t.Context(), "test", "default", "same"))
	a.serve(t, server, "slipway:a")
	receive(t, a.runs)
	receive(t, a.runs)

	require.NoError(t, a.inspector.CancelActive(t.Context(), "same"))
	require.ErrorIs(t, receive(t, a.ended), context.Canceled)
	require.NoError(t, a.inspector.Pause(t.Context(), "default"))
	counts, err := b.inspector.CountQueue("default")
	require.NoError(t, err)
	require.Equal(t, 1, counts.Active, "neither cancelled nor gone")
	require.False(t, counts.Paused)
	require.Empty(t, b.ended)
}

// Private

func install(t *testing.T, server *devstack.Redis, namespace string) *installation {
	t.Helper()
	bounds := failopen.Options{URL: server.URL(), Namespace: namespace, Timeout: 2 * time.Second, PoolTimeout: 2 * time.Second}
	guard := failopen.NewGuard(bounds, newReporter())
	client, err := NewClient(guard)
	require.NoError(t, err)
	depth, err := NewDepthReader(guard, queues)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		require.NoError(t, depth.Close())
	})
	failed := NewFailedTasks(pgtest.New(t, migrations))
	return &installation{
		client: client, inspector: NewInspector(client, failed, nil), depth: depth,
		runs: make(chan Run, 10), ended: make(chan error, 10),
	}
}

func (i *installation) enqueue(t *testing.T, id string) {
	t.Helper()
	outcomes := i.client.Enqueue(t.Context(), "test", Message{
		ID: id, Kind: "wave", Args: json.RawMessage(`{}`), Queue: "default", Attempts: 1, Timeout: time.Minute,
	})
	require.Equal(t, []Outcome{Accepted}, outcomes)
}

// serve runs tasks until the test ends or they are cancelled.
func (i *installation) serve(t *testing.T, server *devstack.Redis, namespace string) {
	t.Helper()
	servers, err := NewServers(queues, ServersOptions{
		URL: server.URL(), Namespace: namespace, Servers: 1, Concurrency: 5, CheckInterval: 5 * time.Millisecond,
		ShutdownTimeout: 100 * time.Millisecond, Reporter: newReporter(),
		Work: func(ctx context.Context, run Run) error {
			i.runs <- run
			<-ctx.Done()
			i.ended <- ctx.Err()
			return Archive(ctx.Err())
		},
		Backoff: func(string, int, error) time.Duration { return time.Minute },
		Failed:  func(context.Context, Failure) {},
	})
	require.NoError(t, err)
	require.NoError(t, servers.Start())
	t.Cleanup(func() {
		servers.StopLongPoll()
		servers.Shutdown()
		require.NoError(t, servers.Close())
	})
}

func indexOf(depths []Depth, queue string) int {
	for i, depth := range depths {
		if depth.Queue == queue {
			return i
		}
	}
	return -1
}
