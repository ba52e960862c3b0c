package taskqueue

import (
	"strings"

	"slipway/internal/failopen"
)

// Private

// namespace begins the names of the queues of this installation in Redis, so that
// it runs no task of another one. Operators, metrics and PostgreSQL see the names
// without it.
type namespace string

// queue returns the name of a queue in Redis.
func (n namespace) queue(name string) string { return n.key(name) }

// name returns the name of a queue without the namespace. It is not ok for a queue
// of another installation.
func (n namespace) name(queue string) (name string, ok bool) {
	return strings.CutPrefix(queue, n.key(""))
}

// channel returns the name of a channel of asynq. It has the number of the database,
// because a message reaches the subscribers of all databases.
func (n namespace) channel(database int, name string) string {
	return failopen.Namespace(n).Channel(database, name)
}

// cancelled returns Slipway's own key, which exists while a task is marked as
// cancelled.
func (n namespace) cancelled(id string) string { return n.key("cancelled:" + id) }

// unique returns Slipway's own key that holds the newest of equal unique tasks.
func (n namespace) unique(key string) string { return n.key("unique:" + key) }

// late returns Slipway's own key, which exists while a handler of a task runs
// although its attempt has ended.
func (n namespace) late(id string) string { return n.key("late:" + id) }

// paused returns Slipway's own key of the paused tasks of a queue and a kind.
func (n namespace) paused(queue, kind string) string { return n.key("paused:" + queue + ":" + kind) }

func (n namespace) key(name string) string { return failopen.Namespace(n).Key(name) }

// queuesKey is the set in which asynq 0.26 lists its queues.
const queuesKey = "asynq:queues"

// The keys of one queue, as asynq 0.26 names them. Queue is a name in Redis.
func pendingKey(queue string) string   { return "asynq:{" + queue + "}:pending" }
func activeKey(queue string) string    { return "asynq:{" + queue + "}:active" }
func leaseKey(queue string) string     { return "asynq:{" + queue + "}:lease" }
func archivedKey(queue string) string  { return "asynq:{" + queue + "}:archived" }
func scheduledKey(queue string) string { return "asynq:{" + queue + "}:scheduled" }
func retryKey(queue string) string     { return "asynq:{" + queue + "}:retry" }
func completedKey(queue string) string { return "asynq:{" + queue + "}:completed" }
func taskPrefix(queue string) string   { return "asynq:{" + queue + "}:t:" }
func taskKey(queue, id string) string  { return taskPrefix(queue) + id }

func isLeaseKey(key string) bool { return strings.HasSuffix(key, ":lease") }

// stateField is the field of a task's hash that holds its state.
const stateField = "state"
