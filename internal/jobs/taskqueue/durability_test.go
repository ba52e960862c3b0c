package taskqueue

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
)

func TestWarnOfLoss_NamesSettingsThatLoseTasks(t *testing.T) {
	t.Parallel()
	client := stacktest.RedisClient(t, stacktest.Redis(t))
	set := func(name, value string) {
		t.Helper()
		require.NoError(t, client.ConfigSet(t.Context(), name, value).Err())
	}
	for _, row := range []struct {
		policy, limit, appendonly string
		warnings                  []string
	}{
		{"noeviction", "100mb", "yes", nil},
		{"allkeys-lru", "0", "yes", nil},
		{"allkeys-lru", "100mb", "yes", []string{"drops tasks when its memory is full"}},
		{"noeviction", "100mb", "no", []string{"loses tasks when it stops"}},
	} {
		set("maxmemory-policy", row.policy)
		set("maxmemory", row.limit)
		set("appendonly", row.appendonly)
		log := &stacktest.Journal{}

		require.NoError(t, warnOfLoss(t.Context(), client, log.Logger()))

		require.Equal(t, len(row.warnings), strings.Count(log.String(), "level=WARN"), row)
		for _, warning := range row.warnings {
			require.Contains(t, log.String(), warning)
		}
	}
}
