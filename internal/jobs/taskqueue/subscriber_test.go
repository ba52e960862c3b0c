package taskqueue

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
)

func TestSubscriber_HasOneSubscriptionAtATime(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	options, err := failopen.SubscriberOptions(server.URL())
	require.NoError(t, err)
	subscribing := redis.NewClient(options)
	s := &subscriber{subscribing: subscribing}
	admin := stacktest.RedisClient(t, server)

	for range 3 {
		_, err := s.Subscribe(t.Context(), "asynq:cancel").Receive(t.Context())
		require.NoError(t, err)
	}

	stacktest.Eventually(t, func() bool {
		return admin.PubSubNumSub(t.Context(), "asynq:cancel").Val()["asynq:cancel"] == 1
	})
	require.NoError(t, s.last.Close())
	require.NoError(t, subscribing.Close())
}
