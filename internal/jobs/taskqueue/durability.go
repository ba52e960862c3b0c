package taskqueue

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// Private

// warnOfLoss logs which settings of Redis can lose tasks. It returns an error when
// Redis does not reply, and none when Redis does not let its clients read
// settings, as some hosts do.
func warnOfLoss(ctx context.Context, client *redis.Client, log *slog.Logger) error {
	policy, err := client.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil {
		if isForbidden(err) {
			return nil
		}
		return fmt.Errorf("read the settings of Redis: %w", err)
	}
	persistence, err := client.ConfigGet(ctx, "appendonly").Result()
	if err != nil {
		return fmt.Errorf("read the settings of Redis: %w", err)
	}
	limit, err := client.ConfigGet(ctx, "maxmemory").Result()
	if err != nil {
		return fmt.Errorf("read the settings of Redis: %w", err)
	}
	limited, _ := strconv.ParseInt(limit["maxmemory"], 10, 64) // 0: no limit
	if chosen := policy["maxmemory-policy"]; chosen != "noeviction" && limited > 0 {
		log.WarnContext(ctx, "Redis drops tasks when its memory is full", "maxmemory_policy", chosen,
			"advice", "set maxmemory-policy to noeviction, or set QUEUE_REDIS_URL to a Redis for tasks alone")
	}
	if persistence["appendonly"] != "yes" {
		log.WarnContext(ctx, "Redis loses tasks when it stops", "advice",
			"set appendonly to yes; PostgreSQL restores durable tasks only if Redis stops within seconds after they were enqueued")
	}
	return nil
}
