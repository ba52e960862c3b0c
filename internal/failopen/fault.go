package failopen

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"slipway/internal/telemetry"
)

// Fault is why Redis cannot be used, in words for an operator: its class, see
// telemetry.Class, and a sentence that says what to do.
type Fault struct {
	Usable bool // calls are made at the moment; they may fail again soon
	class  string
	text   string
}

func (f *Fault) Error() string { return f.class + ": " + f.text }

// Class returns the class of the failure.
func (f *Fault) Class() string { return f.class }

// Private

// meaning is what a failed call says about Redis.
type meaning int

const (
	// unavailable: the next call will probably fail too, until Redis is back.
	unavailable meaning = iota
	// refusesUs: Redis replies, and refuses every call until an operator acts.
	refusesUs
	// refusesSome: Redis refuses calls of this sort, such as all writes. Others succeed.
	refusesSome
	// wrong: the call itself is wrong, or missed its value. Redis works.
	wrong
)

// countsForBreaker reports whether the result of a call counts for the breaker: a
// success, or a failure after which other calls will fail as well.
func countsForBreaker(err error) bool {
	if err == nil {
		return true
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, errShortDeadline) || errors.Is(err, errShared) {
		return false
	}
	meaning := meaningOf(err)
	return meaning == unavailable || meaning == refusesUs
}

// meaningOf sorts every failure of a call.
func meaningOf(err error) meaning {
	if known, is := faults[telemetry.Class(err)]; is {
		return known.meaning
	}
	reply := errorReply(err)
	for _, ours := range []string{"ERR ", "NOSCRIPT ", "EXECABORT ", "redis: nil"} {
		if strings.HasPrefix(reply, ours) {
			return wrong
		}
	}
	return unavailable
}

// errorReply is the text of an error that Redis replied, empty for any other
// error. The library of the task queue passes on the text of a script's error,
// but not the error itself.
func errorReply(err error) string {
	var reply redis.Error
	if errors.As(err, &reply) {
		return reply.Error()
	}
	_, text, _ := strings.Cut(err.Error(), "redis eval error: ")
	return text
}

// faultOf is the fault that err shows.
func faultOf(err error) *Fault {
	class := telemetry.Class(err)
	if known, is := faults[class]; is {
		return &Fault{class: class, text: known.text}
	}
	return &Fault{class: class, text: fmt.Sprintf("Redis cannot be used: %s", telemetry.Scrub(err.Error()))}
}

// faults are the known faults by class.
var faults = map[string]struct {
	meaning meaning
	text    string
}{
	"timeout": {unavailable, "Redis does not reply in time; see whether it is frozen, overloaded or out of reach"},
	"refused": {unavailable, "nothing listens at the address of Redis; start Redis, or correct the address"},
	"dns":     {unavailable, "the host name of Redis is unknown; start Redis, or correct the address"},
	"reset":   {unavailable, "connections to Redis break; see the log of Redis and of the network between"},
	"pool":    {unavailable, "all connections to Redis are in use; see whether Redis is slow, or raise REDIS_POOL_SIZE"},
	"clients": {unavailable, "Redis has too many clients; raise its maxclients, or lower REDIS_POOL_SIZE"},
	"loading": {unavailable, "Redis loads its data; wait until it is done"},
	"masterdown": {unavailable, "Redis is a replica that has lost its primary; wait for the failover, " +
		"or promote it with REPLICAOF NO ONE"},
	"protocol": {unavailable, "what replies at the address of Redis is no Redis; correct REDIS_URL or QUEUE_REDIS_URL"},
	"busy":     {unavailable, "Redis is busy with a script that does not end; wait, or end it with SCRIPT KILL"},

	"auth": {refusesUs, "Redis refuses the connection: the user or the password in its address is wrong or missing, " +
		"or it expects none; correct REDIS_URL or QUEUE_REDIS_URL"},
	"cluster": {refusesUs, "Redis refuses calls: it is in cluster mode, and the application needs a Redis without; " +
		"point REDIS_URL or QUEUE_REDIS_URL to a single server"},
	"database": {refusesUs, "Redis refuses the connection: it has no database with the number in the address; " +
		"correct REDIS_URL or QUEUE_REDIS_URL, or raise databases in its settings"},
	"protected": {refusesUs, "Redis refuses the connection: it is in protected mode; give it a password, and put that into the address"},

	"noperm": {refusesSome, "Redis refuses commands: its user lacks a right; grant it all commands but those of an administrator, " +
		"scripts too, on all keys and channels (ACL SETUSER)"},
	"readonly":   {refusesSome, "Redis is a replica and takes no writes; point the address to the primary, or promote this one"},
	"oom":        {refusesSome, "Redis is full and takes no writes; raise its maxmemory"},
	"misconf":    {refusesSome, "Redis takes no writes because it cannot save its data; make space on its disk, or correct its settings"},
	"noreplicas": {refusesSome, "Redis takes no writes because it has too few replicas; bring them back, or lower its min-replicas-to-write"},

	"wrongtype": {wrong, "a key of the application held a value of another type, and was deleted; see which other program writes it"},
}
