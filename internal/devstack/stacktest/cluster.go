package stacktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
)

// RedisCluster starts a Redis in cluster mode that only this test knows: one node
// that serves all slots. It ends with the test.
func RedisCluster(t testing.TB) *devstack.Redis {
	t.Helper()
	server, err := exec.LookPath("redis-server")
	require.NoError(t, err)
	binary := filepath.Join(t.TempDir(), "redis-cluster")
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\" --cluster-enabled yes --cluster-port %d\n", server, Port(t))
	require.NoError(t, os.WriteFile(binary, []byte(script), 0o700))
	cluster := RedisWith(t, devstack.RedisOptions{Dir: t.TempDir(), Binary: binary})
	RedisCommand(t, cluster, "CLUSTER", "ADDSLOTSRANGE", 0, 16383)
	client := RedisClient(t, cluster)
	Eventually(t, func() bool {
		return errors.Is(client.Get(t.Context(), "key").Err(), redis.Nil)
	}, "the cluster serves its slots")
	return cluster
}
