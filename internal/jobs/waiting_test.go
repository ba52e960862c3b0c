package jobs

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

func TestWaiting_AWorkerWithNothingToDoHardlyAsks(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worked, _ := asynqWithWaiting(t, server, 4)
	client := newClient(t, server)
	awaitWatchers(t, client, len(Queues))

	before := commands(t, client)
	timer := time.NewTimer(2 * time.Second)
	<-timer.C
	asked := commands(t, client) - before

	require.Less(t, asked, 500, "without the hook it is more than a thousand")
	enqueueEcho(t, client, Default, "one")
	require.Equal(t, "one", receive(t, worked))
}

func TestWaiting_WakesForEveryQueueAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worked, _ := asynqWithWaiting(t, server, 1)
	client := newClient(t, server)

	for i := range 50 {
		for _, queue := range Queues {
			awaitWatchers(t, client, len(Queues))
			enqueueEcho(t, client, queue, string(queue)+strconv.Itoa(i))
			require.Equal(t, string(queue)+strconv.Itoa(i), receive(t, worked))
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(client)
	require.NoError(t, inspector.PauseQueue("default"))
	for i := range 20 {
		enqueueEcho(t, client, Default, strconv.Itoa(i))
	}
	awaitWatchers(t, client, len(Queues)-1) // some see that there is something, and may not take it
	require.NoError(t, inspector.UnpauseQueue("default"))

	for i := range 20 {
		require.Equal(t, strconv.Itoa(i), receive(t, worked), "the watch moves a task to where it was")
	}
}

func TestWaiting_TasksAreFoundThoughNobodySaysSo(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worked, waiting := asynqWithWaiting(t, server, 1)
	client := newClient(t, server)
	awaitWatchers(t, client, len(Queues))
	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "-blmove").Err())

	require.NoError(t, client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	for i := range 5 {
		enqueueEcho(t, client, Low, strconv.Itoa(i))
		require.Equal(t, strconv.Itoa(i), receive(t, worked))
	}

	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "+blmove").Err())
	awaitWatchers(t, client, len(Queues))
	waiting.end()
	enqueueEcho(t, client, Low, "last")
	require.Equal(t, "last", receive(t, worked), "and when the watching has ended")
}

func TestWaiting_OutlivesAnEndOfRedis(t *testing.T) {
	t.Parallel()
	server := startRedisWith(t, devstack.RedisOptions{Dir: t.TempDir(), Durable: true})
	worked, _ := asynqWithWaiting(t, server, 2)
	client := newClient(t, server)
	awaitWatchers(t, client, len(Queues))

	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(t.Context()))
	enqueueEcho(t, newClient(t, server), Critical, "after")

	require.Equal(t, "after", receive(t, worked))
}

// Private

// asynqWithWaiting runs servers that ask through a hook, and says what they
// work.
func asynqWithWaiting(t *testing.T, server *devstack.Redis, servers int) (<-chan string, *waiting) {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	waiting := newWaiting(options)
	client.AddHook(waiting)
	waiting.start()
	worked := make(chan string, 100)
	var all []*asynq.Server
	for range servers {
		one := asynq.NewServerFromRedisClient(client, asynq.Config{Concurrency: 1, Queues: taskWeights, TaskCheckInterval: 5 * time.Millisecond, LogLevel: asynq.FatalLevel})
		require.NoError(t, one.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			worked <- string(task.Payload())
			return nil
		})))
		all = append(all, one)
	}
	t.Cleanup(func() {
		waiting.end()
		for _, one := range all {
			one.Shutdown()
		}
		require.NoError(t, client.Close())
	})
	return worked, waiting
}

func enqueueEcho(t *testing.T, client *redis.Client, queue Queue, payload string) {
	t.Helper()
	_, err := asynq.NewClientFromRedisClient(client).EnqueueContext(t.Context(), asynq.NewTask("echo", []byte(payload)), asynq.Queue(string(queue)))
	require.NoError(t, err)
}

// awaitWatchers waits until Redis has that many clients waiting.
func awaitWatchers(t *testing.T, client *redis.Client, many int) {
	t.Helper()
	require.Eventually(t, func() bool {
		said, err := client.InfoMap(t.Context(), "clients").Result()
		return err == nil && said["Clients"]["blocked_clients"] == strconv.Itoa(many)
	}, patience, time.Millisecond)
}

func commands(t *testing.T, client *redis.Client) int {
	t.Helper()
	return statistic(t, client, "total_commands_processed")
}

// statistic is what Redis has counted under a name.
func statistic(t *testing.T, client *redis.Client, name string) int {
	t.Helper()
	said, err := client.InfoMap(t.Context(), "stats").Result()
	require.NoError(t, err)
	count, err := strconv.Atoi(said["Stats"][name])
	require.NoError(t, err)
	return count
}
