package taskqueue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"slipway/internal/telemetry"
)

// FreeCrashes is how many workers may die while they run a job or task before a
// death uses up an attempt. The limit ends work that kills its workers.
const FreeCrashes = 5

// WorkersDied is the error of work that failed for good because its workers died
// while they ran it.
type WorkersDied struct{ Times int }

// Error names the number of deaths.
func (w *WorkersDied) Error() string {
	return fmt.Sprintf("the worker died %d times while it ran this", w.Times)
}

// Reaper returns the tasks of dead workers to their queues. It does so sooner
// than asynq and uses up no attempt. It also copies tasks that asynq archived to
// the archive in PostgreSQL.
type Reaper struct {
	redis         *redis.Client
	inspector     *asynq.Inspector
	cancellations *Cancellations
	namespace     namespace
	queues        []string // without the namespace
	failed        *FailedTasks
	retention     Retention
	log           *slog.Logger
	rounds        *telemetry.LoopLog
	reporter      *telemetry.Reporter
	unleased      map[string]time.Time // when an active task without a lease was first seen, by queue and id

	leaseGrace, unleasedGrace time.Duration
}

// NewReaper returns a reaper of the tasks that servers run. It deletes tasks from
// the archive after their retention.
func NewReaper(servers *Servers, failed *FailedTasks, retention Retention, log *slog.Logger, reporter *telemetry.Reporter) *Reaper {
	r := newReaper(servers.redis, servers.namespace, servers.queues, failed, log, reporter)
	r.retention = retention
	return r
}

// Run reaps every ten seconds until ctx ends. Before that, it logs which settings
// of Redis can lose tasks.
func (r *Reaper) Run(ctx context.Context) {
	ticker := time.NewTicker(reapEvery)
	defer ticker.Stop()
	warned := warnOfLoss(ctx, r.redis, r.log) == nil
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !warned { // Redis did not reply
			warned = warnOfLoss(ctx, r.redis, r.log) == nil
		}
		err := r.round(ctx)
		switch {
		case err == nil:
			r.rounds.Worked(ctx)
		case ctx.Err() == nil:
			r.rounds.Failed(ctx, err)
		}
	}
}

// RunAgainWithin is how soon the task of a dead worker is back in its queue, when
// another worker is there.
const RunAgainWithin = 2*reapEvery + max(asynqLease+leaseGrace, unleasedGrace)

// Private

const reapEvery = 10 * time.Second

// asynqLease is how long a lease of asynq lasts that nobody extends.
const asynqLease = 30 * time.Second

// A worker extends the lease of each task that it runs. A task is lost
// when its lease ran out leaseGrace ago, because clocks differ. It is also lost
// when it has had no lease for unleasedGrace: asynq never returns such a task
// (asynq #1051).
const (
	leaseGrace    = 15 * time.Second
	unleasedGrace = 60 * time.Second
)

func newReaper(
	client *redis.Client, n namespace, queues []Queue, failed *FailedTasks, log *slog.Logger, reporter *telemetry.Reporter,
) *Reaper {
	return &Reaper{
		redis: client, inspector: asynq.NewInspectorFromRedisClient(client), cancellations: &Cancellations{client, n}, namespace: n,
		queues: namesOf(queues), failed: failed, log: log, reporter: reporter, unleased: map[string]time.Time{},
		rounds:     telemetry.NewLoopLog(log, "Reaper of tasks could not do all its work", "Reaper of tasks does all its work again"),
		leaseGrace: leaseGrace, unleasedGrace: unleasedGrace,
	}
}

// round does everything that the reaper does. What fails does not keep it from the
// rest.
func (r *Reaper) round(ctx context.Context) error {
	var failures []error
	for _, queue := range r.queues {
		if err := errors.Join(r.reap(ctx, queue), r.copyArchived(ctx, queue)); err != nil {
			failures = append(failures, fmt.Errorf("check the tasks of the queue %s: %w", queue, err))
		}
	}
	return errors.Join(append(failures, r.pauseAgain(ctx), r.prune(ctx))...)
}

// reap returns the lost tasks of one queue.
func (r *Reaper) reap(ctx context.Context, queue string) error {
	lost, err := r.lost(ctx, queue)
	if err != nil || len(lost) == 0 {
		return err
	}
	return r.giveBack(ctx, queue, lost)
}

// giveBack returns tasks to their queue, without those whose lease was extended
// since lost listed them.
func (r *Reaper) giveBack(ctx context.Context, queue string, lost []string) error {
	now, err := r.redis.Time(ctx).Result()
	if err != nil {
		return fmt.Errorf("ask Redis for the time: %w", err)
	}
	stored := r.namespace.queue(queue)
	keys := []string{activeKey(stored), leaseKey(stored), pendingKey(stored), archivedKey(stored)}
	arguments := []any{taskPrefix(stored), now.Add(-r.leaseGrace).Unix(), now.UnixNano(), now.Unix(), FreeCrashes}
	for _, id := range lost {
		arguments = append(arguments, id)
	}
	results, err := returnLost.Run(ctx, r.redis, keys, arguments...).StringSlice()
	if err != nil {
		return fmt.Errorf("return lost tasks: %w", err)
	}
	for i, result := range results {
		delete(r.unleased, unleasedName(queue, lost[i]))
		switch result {
		case "returned":
			r.log.WarnContext(ctx, "Task of a dead worker was returned to its queue", "queue", queue, "id", lost[i])
		case "archived":
			r.reportArchived(ctx, queue, lost[i])
		}
	}
	return nil
}

// reportArchived stores, logs and reports a task that failed for good because it
// killed its workers.
func (r *Reaper) reportArchived(ctx context.Context, queue, id string) {
	kind, cause := "unknown", &WorkersDied{FreeCrashes + 1}
	if task, err := r.inspector.GetTaskInfo(r.namespace.queue(queue), id); err == nil { // after an error, copyArchived stores the task
		kind = task.Type
		r.failed.InsertOrLog(ctx, r.log, FailedTask{
			ID: id, Kind: kind, Queue: queue, Args: task.Payload, Error: cause.Error(), Attempts: task.Retried + 1,
			Request: task.Headers[headerRequest], Parent: task.Headers[headerParent],
		})
	}
	r.log.ErrorContext(ctx, "Task failed for good: its workers died while they ran it",
		"queue", queue, "kind", kind, "id", id, "times", cause.Times)
	r.reporter.Unexpected("task "+kind, id, cause)
}

// lost returns the active tasks whose lease ran out, or that have none.
func (r *Reaper) lost(ctx context.Context, queue string) ([]string, error) {
	active, err := r.redis.LRange(ctx, activeKey(r.namespace.queue(queue)), 0, -1).Result()
	if err != nil {
		return nil, fmt.Errorf("list active tasks: %w", err)
	}
	leases, err := r.redis.ZRangeWithScores(ctx, leaseKey(r.namespace.queue(queue)), 0, -1).Result()
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
		name := unleasedName(queue, id)
		end, leased := until[id]
		if leased {
			delete(r.unleased, name)
			if time.Since(end) > r.leaseGrace {
				lost = append(lost, id)
			}
			continue
		}
		since, known := r.unleased[name]
		if !known {
			r.unleased[name] = time.Now()
		} else if time.Since(since) > r.unleasedGrace {
			lost = append(lost, id)
		}
	}
	for name := range r.unleased {
		if id, of := strings.CutPrefix(name, unleasedName(queue, "")); of && !slices.Contains(active, id) {
			delete(r.unleased, name)
		}
	}
	return lost, nil
}

func unleasedName(queue, id string) string { return queue + " " + id }

// copyArchived stores the archived tasks of asynq that the database does not
// have yet. asynq holds ten thousand at most.
func (r *Reaper) copyArchived(ctx context.Context, queue string) error {
	const pageSize = 1000
	for start := int64(0); ; start += pageSize {
		page := redis.ZRangeArgs{Key: archivedKey(r.namespace.queue(queue)), Start: start, Stop: start + pageSize - 1, Rev: true}
		ids, err := r.redis.ZRangeArgs(ctx, page).Result()
		if err != nil {
			return fmt.Errorf("list archived tasks: %w", err)
		}
		missing, err := r.failed.missing(ctx, ids)
		if err != nil {
			return err
		}
		for _, id := range missing {
			if err := r.copyTask(ctx, queue, id); err != nil {
				return err
			}
		}
		if len(ids) < pageSize {
			return nil
		}
	}
}

func (r *Reaper) copyTask(ctx context.Context, queue, id string) error {
	task, err := r.inspector.GetTaskInfo(r.namespace.queue(queue), id)
	if isTaskMissing(err) {
		return nil // an operator has just discarded it
	}
	if err != nil {
		return fmt.Errorf("read the archived task %s: %w", id, err)
	}
	cancelled, err := r.cancellations.Has(ctx, id)
	if err != nil {
		return fmt.Errorf("read the archived task %s: %w", id, err)
	}
	reason := task.LastErr
	switch {
	case cancelled:
		reason = ErrCancelled.Error()
	case reason == "":
		reason = (&WorkersDied{FreeCrashes + 1}).Error()
	}
	return r.failed.Insert(ctx, FailedTask{
		ID: task.ID, Kind: task.Type, Queue: queue, Args: task.Payload,
		Error: telemetry.Scrub(reason), Attempts: task.Retried + 1, Cancelled: cancelled,
		Request: task.Headers[headerRequest], Parent: task.Headers[headerParent],
	})
}

// returnLost checks each task once more. It puts a lost task at the head of its
// queue, or archives it when it killed too many workers.
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
