package taskqueue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

// A list reads tasks by itself, because asynq reads them one by one.
func TestList_ReadsTasksAsAsynqDoes(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	i := install(t, server, "slipway:a").inspector
	client := asynq.NewClientFromRedisClient(stacktest.RedisClient(t, server))
	queue := asynq.Queue(i.namespace.queue("default"))
	for n, options := range [][]asynq.Option{
		{asynq.MaxRetry(7)}, {asynq.MaxRetry(0), asynq.Timeout(time.Hour)}, {asynq.ProcessIn(time.Hour), asynq.Unique(time.Hour)},
		{asynq.Deadline(time.Now().Add(time.Hour)), asynq.Retention(time.Hour)}, {},
	} {
		headers := map[string]string{
			headerEnqueuedAt: "2026-11-30T10:00:00.5Z", headerExpiresAt: "2026-12-01T10:00:00Z", "": "empty", "é": strings.Repeat("x", n*100),
		}
		task := asynq.NewTaskWithHeaders(fmt.Sprint("kind-", n), []byte(strings.Repeat("\x00\xff", n*200)), headers)
		_, err := client.Enqueue(task, append(options, queue)...)
		require.NoError(t, err)
	}

	for state, want := range map[State]int{Pending: 4, Scheduled: 1} {
		page, err := i.List(t.Context(), "default", state, Place{}, 10)
		require.NoError(t, err)
		require.Len(t, page.Tasks, want)
		for _, task := range page.Tasks {
			found, err := i.Find("default", task.ID)
			require.NoError(t, err)
			require.InDelta(t, 0, found.NextProcessAt.Sub(task.NextProcessAt), float64(time.Minute))
			task.Place, task.NextProcessAt, found.NextProcessAt = Place{}, time.Time{}, time.Time{}
			require.Equal(t, len(found.Args), len(task.Args))
			if len(task.Args) == 0 {
				task.Args, found.Args = nil, nil
			}
			delete(task.Headers, "")
			delete(found.Headers, "")
			require.Equal(t, found, task)
		}
	}
}

func TestList_ReadsABoundedAmountOfLargeTasks(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	i := install(t, server, "slipway:a").inspector
	client := asynq.NewClientFromRedisClient(stacktest.RedisClient(t, server))
	for range 30 {
		_, err := client.Enqueue(asynq.NewTask("large", make([]byte, 1<<20)), asynq.Queue(i.namespace.queue("default")))
		require.NoError(t, err)
	}

	seen, place, pages := map[string]bool{}, Place{}, 0
	for more := true; more; pages++ {
		page, err := i.List(t.Context(), "default", Pending, place, 500)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Tasks), 16)
		for _, task := range page.Tasks {
			seen[task.ID] = true
		}
		place, more = page.Next, page.More
	}

	require.Len(t, seen, 30)
	require.Equal(t, 2, pages)
}
