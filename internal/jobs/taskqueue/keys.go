package taskqueue

import "strings"

// Private

// queuesKey is the set in which asynq 0.26 lists its queues.
const queuesKey = "asynq:queues"

// The keys of one queue, as asynq 0.26 names them.
func pendingKey(queue string) string  { return "asynq:{" + queue + "}:pending" }
func activeKey(queue string) string   { return "asynq:{" + queue + "}:active" }
func leaseKey(queue string) string    { return "asynq:{" + queue + "}:lease" }
func archivedKey(queue string) string { return "asynq:{" + queue + "}:archived" }
func taskPrefix(queue string) string  { return "asynq:{" + queue + "}:t:" }
func taskKey(queue, id string) string { return taskPrefix(queue) + id }

func isLeaseKey(key string) bool { return strings.HasSuffix(key, ":lease") }

// cancelledKey is Slipway's own: it exists while a task is marked as cancelled.
func cancelledKey(id string) string { return "slipway:cancelled:" + id }

// stateField is the field of a task's hash that holds its state.
const stateField = "state"
