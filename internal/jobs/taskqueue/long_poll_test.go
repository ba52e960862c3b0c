package taskqueue

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
)

func TestLongPoll_SendsFewCommandsWhileAllQueuesAreEmpty(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked, _ := asynqWithLongPoll(t, server, 4)
	client := stacktest.RedisClient(t, server)
	awaitWatchers(t, client, len(queues))

	before := commands(t, client)
	timer := time.NewTimer(2 * time.Second)
	<-timer.C
	asked := commands(t, client) - before

	require.Less(t, asked, 500, "without the hook there are more than a thousand commands")
	enqueueEcho(t, client, "default", "one")
	require.Equal(t, "one", receive(t, worked))
}

func TestLongPoll_WakesForEveryQueueAndKeepsTheOrder(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked, _ := asynqWithLongPoll(t, server, 1)
	client := stacktest.RedisClient(t, server)

	for i := range 50 {
		for _, queue := range namesOf(queues) {
			awaitWatchers(t, client, len(queues))
			enqueueEcho(t, client, queue, queue+strconv.Itoa(i))
			require.Equal(t, queue+strconv.Itoa(i), receive(t, worked))
		}
	}
	inspector := asynq.NewInspectorFromRedisClient(client)
	require.NoError(t, inspector.PauseQueue("default"))
	for i := range 20 {
		enqueueEcho(t, client, "default", strconv.Itoa(i))
	}
	awaitWatchers(t, client, len(queues)-1) // the watcher of the paused queue sees tasks that no server may take
	require.NoError(t, inspector.UnpauseQueue("default"))

	for i := range 20 {
		require.Equal(t, strconv.Itoa(i), receive(t, worked), "the watcher does not change the order")
	}
}

func TestLongPoll_FindsTasksWithoutWatchers(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked, poll := asynqWithLongPoll(t, server, 1)
	client := stacktest.RedisClient(t, server)
	awaitWatchers(t, client, len(queues))
	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "-blmove").Err())

	require.NoError(t, client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	for i := range 5 {
		enqueueEcho(t, client, "low", strconv.Itoa(i))
		require.Equal(t, strconv.Itoa(i), receive(t, worked))
	}

	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "+blmove").Err())
	awaitWatchers(t, client, len(queues))
	poll.stop()
	enqueueEcho(t, client, "low", "last")
	require.Equal(t, "last", receive(t, worked), "also after the watchers have stopped")
}

func TestLongPoll_SurvivesACrashOfRedis(t *testing.T) {
	t.Parallel()
	server := stacktest.RedisWith(t, devstack.RedisOptions{Dir: t.TempDir(), Durable: true})
	worked, _ := asynqWithLongPoll(t, server, 2)
	client := stacktest.RedisClient(t, server)
	awaitWatchers(t, client, len(queues))

	require.NoError(t, server.Kill())
	require.NoError(t, server.Restart(t.Context()))
	enqueueEcho(t, stacktest.RedisClient(t, server), "critical", "after")

	require.Equal(t, "after", receive(t, worked))
}

func TestLongPoll_ARedisThatRefusesIsAskedSeldom(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked, _ := asynqWithLongPoll(t, server, 4)
	client := stacktest.RedisClient(t, server)
	awaitWatchers(t, client, len(queues))
	enqueueEcho(t, client, "low", "before")
	require.Equal(t, "before", receive(t, worked))
	refused := func() int { return statistic(t, client, "total_error_replies") }

	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "-eval", "-evalsha").Err())
	require.NoError(t, client.LPush(t.Context(), pendingKey("low"), "unknown").Err()) // wakes the servers
	stacktest.Eventually(t, func() bool { return refused() > 0 })
	before, timer := refused(), time.NewTimer(2*time.Second)
	<-timer.C
	asked := refused() - before
	require.NoError(t, client.LRem(t.Context(), pendingKey("low"), 1, "unknown").Err())
	require.NoError(t, client.Do(t.Context(), "ACL", "SETUSER", "default", "+eval", "+evalsha").Err())
	enqueueEcho(t, client, "low", "after")

	require.Less(t, asked, 200, "without the pause there are many thousands")
	require.Equal(t, "after", receive(t, worked))
}

// Private

// asynqWithLongPoll runs servers whose client has the hook. It returns the payloads
// of the tasks that they run.
func asynqWithLongPoll(t *testing.T, server *devstack.Redis, servers int) (<-chan string, *longPoll) {
	t.Helper()
	options, err := redis.ParseURL(server.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	poll := newLongPoll(options, queues)
	client.AddHook(poll)
	poll.start()
	worked := make(chan string, 100)
	var all []*asynq.Server
	for range servers {
		one := asynq.NewServerFromRedisClient(client, asynq.Config{
			Concurrency: 1, Queues: weightsOf(queues), TaskCheckInterval: 5 * time.Millisecond, LogLevel: asynq.FatalLevel,
		})
		require.NoError(t, one.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			worked <- string(task.Payload())
			return nil
		})))
		all = append(all, one)
	}
	t.Cleanup(func() {
		poll.stop()
		for _, one := range all {
			one.Shutdown()
		}
		require.NoError(t, client.Close())
	})
	return worked, poll
}

func enqueueEcho(t *testing.T, client *redis.Client, queue, payload string) {
	t.Helper()
	_, err := asynq.NewClientFromRedisClient(client).EnqueueContext(t.Context(), asynq.NewTask("echo", []byte(payload)), asynq.Queue(queue))
	require.NoError(t, err)
}

// awaitWatchers waits until so many clients of Redis block.
func awaitWatchers(t *testing.T, client *redis.Client, many int) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		reply, err := client.InfoMap(t.Context(), "clients").Result()
		return err == nil && reply["Clients"]["blocked_clients"] == strconv.Itoa(many)
	})
}

func commands(t *testing.T, client *redis.Client) int {
	t.Helper()
	return statistic(t, client, "total_commands_processed")
}
