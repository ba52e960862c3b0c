package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
)

func TestRetryWith_RunsAJobAndATaskWithTheNewArgs(t *testing.T) {
	t.Parallel()
	s := setup(t)
	printed := make(chan int, 10)
	s.handlers[0] = jobs.Handle(func(_ context.Context, args mailArgs) error {
		if s.fail.Load() {
			return errors.New("out of paper")
		}
		printed <- args.Order
		return nil
	})
	s.work(t)
	s.fail.Store(true)
	s.enqueue(t, mailArgs{Order: 1, APIKey: "hunter2"})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	job, task := s.await(t, "mail", Failed), s.await(t, "wave", Failed)
	inRedis := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, s.redis))
	stacktest.Eventually(t, func() bool {
		stored, err := inRedis.GetTaskInfo("low", task.ID.Task)
		return err == nil && stored.State == asynq.TaskStateArchived && string(stored.Payload) == `{"name":"ada"}`
	}, "asynq has the task in its own archive, with the old args")

	s.fail.Store(false)
	require.NoError(t, s.inspector.RetryWith(t.Context(), "ada", job.ID, json.RawMessage(`{"order": 2, "api_key": "***"}`)))
	require.NoError(t, s.inspector.RetryWith(t.Context(), "ada", task.ID, json.RawMessage(`{"name": "bob"}`)))

	require.Equal(t, 2, <-printed)
	require.Equal(t, "bob", <-s.waved)
	s.await(t, "mail", Done)
	require.Equal(t, task.ID, s.await(t, "wave", Done).ID)
}
