package taskqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// This file classifies the replies of asynq and Redis for the rest of the package.

// ErrNotFound means that neither Redis nor the archive has the task.
var ErrNotFound = errors.New("there is no such task")

// ErrRedis means that Redis does not reply, or refuses what it was asked.
var ErrRedis = errors.New("Redis does not reply") //nolint:staticcheck // a name has a capital

// ErrDuplicate means that an equal unique task waits or runs.
var ErrDuplicate = errors.New("an equal task waits or runs")

// Outcome is what became of a task that was sent to Redis.
type Outcome string

// The outcomes, as metrics name them.
const (
	Accepted  Outcome = "ok"        // the task is in Redis, now or from before
	Duplicate Outcome = "duplicate" // an equal unique task waits or runs
	Refused   Outcome = "refused"   // Redis did not take the task, or did not reply
)

// Private

// outcomeOf sorts asynq's reply to an enqueue. It returns the error only for
// Refused.
func outcomeOf(err error) (Outcome, error) {
	switch {
	case err == nil, errors.Is(err, asynq.ErrTaskIDConflict):
		return Accepted, nil
	case errors.Is(err, asynq.ErrDuplicateTask):
		return Duplicate, nil
	}
	return Refused, err
}

// duplicateOr is the outcome of a task whose key could not be claimed.
func duplicateOr(err error) (Outcome, error) {
	if err != nil {
		return Refused, err
	}
	return Duplicate, nil
}

// isTaskMissing reports whether asynq has the queue but no such task.
func isTaskMissing(err error) bool { return errors.Is(err, asynq.ErrTaskNotFound) }

// isMissing reports whether asynq has no such task or no such queue.
func isMissing(err error) bool {
	return isTaskMissing(err) || errors.Is(err, asynq.ErrQueueNotFound)
}

// isAlreadySo reports whether a queue is already paused, or already not paused.
// asynq has no error value for either.
func isAlreadySo(err error) bool {
	return err != nil && (strings.HasSuffix(err.Error(), "is already paused") || strings.HasSuffix(err.Error(), "is not paused"))
}

// ofRedis returns an error of Redis as ErrRedis. A reply about a task or a queue, such
// as that it is missing or in another state, stays as it is.
func ofRedis(err error) error {
	if err == nil || isMissing(err) || isAlreadySo(err) || strings.Contains(err.Error(), "FAILED_PRECONDITION") {
		return err
	}
	return fmt.Errorf("%w: %w", ErrRedis, err)
}

// isNothing reports Redis's reply that there is no value, or no task.
func isNothing(err error) bool { return errors.Is(err, redis.Nil) }

// isAnswer reports whether a script run has its reply. Other errors mean that
// Redis may not have run the script.
func isAnswer(err error) bool {
	return err == nil || isNothing(err) || redis.HasErrorPrefix(err, "NOSCRIPT")
}

func isNoAnswer(err error) bool { return !isAnswer(err) }

// isText reports whether a script run replied with text, as one that takes a task
// does.
func isText(command redis.Cmder) bool {
	script, is := command.(*redis.Cmd)
	if !is {
		return false
	}
	_, is = script.Val().(string)
	return is
}

// isForbidden reports whether a Redis does not let its clients read settings.
func isForbidden(err error) bool {
	return strings.HasPrefix(err.Error(), "NOPERM") || strings.Contains(err.Error(), "unknown command")
}

// ending is how a run ended, as asynq reports it to its callbacks.
type ending int

const (
	endedFailed    ending = iota // uses up an attempt
	endedSnoozed                 // runs again after the pause that it asked for
	endedLeaseLost               // its worker was cut off from Redis or died
	endedCancelled               // its own context was cancelled: by an operator, or because the worker stops
	endedArchived                // does not run again
)

func endingOf(err error) ending {
	var snooze *snoozed
	var failed *uncancelled
	switch {
	case errors.As(err, &snooze):
		return endedSnoozed
	case errors.Is(err, asynq.ErrLeaseExpired):
		return endedLeaseLost
	case isArchived(err):
		return endedArchived
	case errors.As(err, &failed):
		return endedFailed
	case errors.Is(err, context.Canceled):
		return endedCancelled
	}
	return endedFailed
}
