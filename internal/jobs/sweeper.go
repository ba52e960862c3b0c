package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"slipway/internal/telemetry"
)

// sweepEvery is how often tasks are looked for that nobody works.
const sweepEvery = 10 * time.Second

// A task in work has a lease of 30 s that its worker extends all the time. It
// is lost when its lease ran out leaseGrace ago (clocks differ), or when it has
// had none for unleasedGrace: asynq never looks at those again (asynq #1051).
const (
	leaseGrace    = 15 * time.Second
	unleasedGrace = 60 * time.Second
)

// sweeper returns tasks to their queue whose worker died, sooner than asynq
// and without using up an attempt, and keeps the list of failed tasks complete.
type sweeper struct {
	redis     *redis.Client
	inspector *asynq.Inspector
	failed    *failedTasks
	log       *slog.Logger
	reporter  *telemetry.Reporter
	unleased  map[string]time.Time // since when, by queue and id

	leaseGrace, unleasedGrace time.Duration
}

func newSweeper(client *redis.Client, failed *failedTasks, log *slog.Logger, reporter *telemetry.Reporter) *sweeper {
	return &sweeper{redis: client, inspector: asynq.NewInspectorFromRedisClient(client), failed: failed, log: log, reporter: reporter, unleased: map[string]time.Time{}, leaseGrace: leaseGrace, unleasedGrace: unleasedGrace}
}

// run sweeps until ctx ends.
func (s *sweeper) run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	asked := warnOfLoss(ctx, s.redis, s.log) == nil
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !asked { // Redis was not there
			asked = warnOfLoss(ctx, s.redis, s.log) == nil
		}
		for _, queue := range Queues {
			if err := errors.Join(s.sweep(ctx, queue), s.copyFailed(ctx, queue)); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "Tasks of dead workers were not looked for", "queue", string(queue), "error", telemetry.Scrub(err.Error()))
			}
		}
		if err := s.failed.prune(ctx); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "Old failed tasks stay", "error", err)
		}
	}
}

// sweep returns the lost tasks of one queue.
func (s *sweeper) sweep(ctx context.Context, queue Queue) error {
	lost, err := s.lost(ctx, queue)
	if err != nil || len(lost) == 0 {
		return err
	}
	prefix := "asynq:{" + string(queue) + "}:" // as asynq 0.26 names its keys
	now, err := s.redis.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("ask Redis for the time: %w", err)
	}
	arguments := []any{prefix + "t:", now.Add(-s.leaseGrace).Unix(), now.UnixNano(), now.Unix(), crashesForFree}
	for _, id := range lost {
		arguments = append(arguments, id)
	}
	results, err := returnLost.Run(ctx, s.redis, []string{prefix + "active", prefix + "lease", prefix + "pending", prefix + "archived"}, arguments...).StringSlice()
	if err != nil {
		return fmt.Errorf("return lost tasks: %w", err)
	}
	for i, result := range results {
		delete(s.unleased, string(queue)+" "+lost[i])
		switch result {
		case "returned":
			s.log.WarnContext(ctx, "Task of a dead worker was returned to its queue", "queue", string(queue), "id", lost[i])
		case "archived":
			s.giveUp(ctx, queue, lost[i])
		}
	}
	return nil
}

// giveUp tells people of a task that failed for good by killing its workers,
// and keeps it with that reason.
func (s *sweeper) giveUp(ctx context.Context, queue Queue, id string) {
	kind, cause := "unknown", &workersDied{crashesForFree + 1}
	if task, err := s.inspector.GetTaskInfo(string(queue), id); err == nil { // else copyFailed keeps it
		kind = task.Type
		s.failed.add(ctx, s.log, failedTask{ID: id, Kind: kind, Queue: task.Queue, Args: task.Payload, Error: cause.Error(), Attempts: task.Retried + 1})
	}
	s.log.ErrorContext(ctx, "Task was given up: its workers died while they ran it", "queue", string(queue), "kind", kind, "id", id, "times", cause.times)
	s.reporter.Unexpected("task "+kind, id, cause)
}

// lost lists tasks in work whose lease ran out, or that have none.
func (s *sweeper) lost(ctx context.Context, queue Queue) ([]string, error) {
	prefix := "asynq:{" + string(queue) + "}:"
	active, err := s.redis.LRange(ctx, prefix+"active", 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list tasks in work: %w", err)
	}
	leases, err := s.redis.ZRangeWithScores(ctx, prefix+"lease", 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list leases: %w", err)
	}
	until := map[string]time.Time{}
	for _, lease := range leases {
		if id, is := lease.Member.(string); is {
			until[id] = time.Unix(int64(lease.Score), 0)
		}
	}
	var lost []string
	for _, id := range active {
		key := string(queue) + " " + id
		end, leased := until[id]
		if leased {
			delete(s.unleased, key)
			if time.Since(end) > s.leaseGrace {
				lost = append(lost, id)
			}
			continue
		}
		since, known := s.unleased[key]
		if !known {
			s.unleased[key] = time.Now()
		} else if time.Since(since) > s.unleasedGrace {
			lost = append(lost, id)
		}
	}
	for key := range s.unleased {
		if id, of := cutQueue(key, queue); of && !slices.Contains(active, id) {
			delete(s.unleased, key)
		}
	}
	return lost, nil
}

func cutQueue(key string, queue Queue) (id string, of bool) {
	prefix := string(queue) + " "
	if len(key) > len(prefix) && key[:len(prefix)] == prefix {
		return key[len(prefix):], true
	}
	return "", false
}

// copyFailed stores the tasks that failed for good or were cancelled, as far as
// the database does not know them yet. It looks at all that asynq has, ten thousand at most.
func (s *sweeper) copyFailed(ctx context.Context, queue Queue) error {
	const pageSize = 1000
	for start := int64(0); ; start += pageSize {
		ids, err := s.redis.ZRangeArgs(ctx, redis.ZRangeArgs{Key: "asynq:{" + string(queue) + "}:archived", Start: start, Stop: start + pageSize - 1, Rev: true}).Result()
		if err != nil {
			return fmt.Errorf("list failed tasks: %w", err)
		}
		missing, err := s.failed.missing(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range missing {
			task, err := s.inspector.GetTaskInfo(string(queue), id)
			if errors.Is(err, asynq.ErrTaskNotFound) {
				continue // somebody has just discarded it
			}
			if err != nil {
				return fmt.Errorf("read the failed task %s: %w", id, err)
			}
			cancelled, err := isCancelled(ctx, s.redis, id)
			if err != nil {
				return fmt.Errorf("read the failed task %s: %w", id, err)
			}
			reason := task.LastErr
			switch {
			case cancelled:
				reason = errCancelled.Error()
			case reason == "":
				reason = (&workersDied{crashesForFree + 1}).Error()
			}
			if err := s.failed.insert(ctx, failedTask{ID: task.ID, Kind: task.Type, Queue: task.Queue, Args: task.Payload, Error: telemetry.Scrub(reason), Attempts: task.Retried + 1, Cancelled: cancelled}); err != nil {
				return err
			}
		}
		if len(ids) < pageSize {
			return nil
		}
	}
}

// returnLost looks once more and then puts tasks back to the head of their
// queue, or gives up those that have taken down too many workers.
var returnLost = redis.NewScript(`
	local results = {}
	for i = 6, #ARGV do
		local id, task = ARGV[i], ARGV[1] .. ARGV[i]
		local lease = redis.call('ZSCORE', KEYS[2], id)
		if lease and tonumber(lease) > tonumber(ARGV[2]) or redis.call('LREM', KEYS[1], 0, id) == 0 then
			results[#results + 1] = 'alive'
		else
			redis.call('ZREM', KEYS[2], id)
			if redis.call('EXISTS', task) == 0 then
				results[#results + 1] = 'gone'
			elseif redis.call('HINCRBY', task, 'slipway_crashes', 1) > tonumber(ARGV[5]) then
				redis.call('ZADD', KEYS[4], ARGV[4], id)
				redis.call('HSET', task, 'state', 'archived')
				results[#results + 1] = 'archived'
			else
				redis.call('RPUSH', KEYS[3], id)
				redis.call('HSET', task, 'state', 'pending', 'pending_since', ARGV[3])
				results[#results + 1] = 'returned'
			end
		end
	end
	return results
`)
