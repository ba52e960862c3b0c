package taskqueue

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/redis/go-redis/v9"
)

// Private

const (
	// claimRetention bounds the claim of a task that is unique while it waits, should
	// its worker never release it. It is longer than the longest pauses of 25 attempts.
	claimRetention = 14 * 24 * time.Hour
	// claimGrace is how long a claim counts before its task is in Redis.
	claimGrace = 5 * time.Second
)

// claim makes a task the one of its key and reports true, unless an equal task
// waits or runs, or was enqueued within UniqueFor. asynq's own lock also stops
// tasks whose twin has failed for good, which then would never run.
func claim(ctx context.Context, client *redis.Client, n namespace, m Message) (bool, error) {
	retention, within := claimRetention, 0
	if m.UniqueFor > 0 {
		retention, within = m.UniqueFor, 1
	} else if wait := time.Until(m.NotBefore); wait > 0 {
		retention += wait
	}
	claimed, err := claimKey.Run(ctx, client, []string{n.unique(hex.EncodeToString(m.Unique))},
		taskKey(n.queue(m.Queue), m.ID), retention.Milliseconds(), claimGrace.Milliseconds(), within).Int()
	return claimed == 1, err
}

// claimKey reads the state of the task that holds the key, so that the claim of a
// task that will not run is void. A task that is done still counts within a time.
var claimKey = redis.NewScript(`
	local held = redis.call('GET', KEYS[1])
	if held and held ~= ARGV[1] then
		local state = redis.call('HGET', held, 'state')
		if state == 'pending' or state == 'active' or state == 'scheduled' or state == 'retry' then
			return 0
		end
		if state == 'completed' and ARGV[4] == '1' then
			return 0
		end
		if not state and redis.call('PTTL', KEYS[1]) > tonumber(ARGV[2]) - tonumber(ARGV[3]) then
			return 0 -- its task is on its way
		end
	end
	redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
	return 1
`)

// release ends the claim of a task that is done and was unique while it waited. A
// claim that stays is void, and only takes memory.
func (s *Servers) release(ctx context.Context, run Run) {
	if run.unique == "" {
		return
	}
	key := s.namespace.unique(run.unique)
	releaseKey.Run(ctx, s.redis, []string{key}, taskKey(s.namespace.queue(run.Queue), run.ID))
}

var releaseKey = redis.NewScript(`
	if redis.call('GET', KEYS[1]) == ARGV[1] then
		return redis.call('DEL', KEYS[1])
	end
	return 0
`)
