package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// Private

// warnOfLoss says what about Redis's own settings would lose tasks. It is not
// told by every Redis: some hosts refuse the question.
func warnOfLoss(ctx context.Context, client *redis.Client, log *slog.Logger) error {
	policy, err := client.ConfigGet(ctx, "maxmemory-policy").Result()
	if err != nil {
		if strings.HasPrefix(err.Error(), "NOPERM") || strings.Contains(err.Error(), "unknown command") {
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
	limited, _ := strconv.ParseInt(limit["maxmemory"], 10, 64) // 0: as much as there is
	if chosen := policy["maxmemory-policy"]; chosen != "noeviction" && limited > 0 {
		log.WarnContext(ctx, "Redis drops tasks when it is full: set maxmemory-policy to noeviction, or give tasks a Redis of their own with QUEUE_REDIS_URL", "maxmemory_policy", chosen)
	}
	if persistence["appendonly"] != "yes" {
		log.WarnContext(ctx, "Redis forgets tasks when it ends: set appendonly to yes; durable tasks come again from PostgreSQL only if it ends within seconds of their enqueueing")
	}
	return nil
}
