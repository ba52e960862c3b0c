package failopen

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/telemetry"
)

func TestMeaningOf_SortsEveryReply(t *testing.T) {
	t.Parallel()
	for meaning, replies := range map[meaning][]string{
		unavailable: {
			"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down", "BUSY Redis is busy running a script.",
			"UNKILLABLE Sorry the script already executed write commands", "ERR max number of clients reached", "STRANGE reply",
		},
		refusesUs: {
			"NOAUTH Authentication required.", "WRONGPASS invalid username-password pair or user is disabled.",
			"ERR AUTH <password> called without any password configured for the default user.",
			"ERR Client sent AUTH, but no password is set", "ERR invalid password", "ERR Protocol error: unauthenticated multibulk length",
			"ERR Protocol error: unauthenticated bulk length", "DENIED Redis is running in protected mode because",
			"ERR DB index is out of range", "ERR invalid DB index", "ERR SELECT is not allowed in cluster mode",
			"MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381", "CROSSSLOT Keys in request don't hash to the same slot",
			"CLUSTERDOWN Hash slot not served", "TRYAGAIN Multiple keys request during rehashing of slot",
		},
		refusesSome: {
			"NOPERM this user has no permissions to run the 'set' command", "READONLY You can't write against a read only replica.",
			"OOM command not allowed when used memory > 'maxmemory'.", "MISCONF Redis is configured to save RDB snapshots",
			"NOREPLICAS Not enough good replicas to write.",
			"ERR Error running script (call to f_1): @user_script:2: @user_script: 2: -READONLY You can't write against a read only replica.",
		},
		wrong: {
			"WRONGTYPE Operation against a key holding the wrong kind of value", "ERR syntax error", "ERR unknown command 'FOO'",
			"NOSCRIPT No matching script.", "EXECABORT Transaction discarded", "ERR value is not an integer or out of range",
		},
	} {
		for _, reply := range replies {
			require.Equal(t, meaning, meaningOf(redisReply(reply)), reply)
			require.Equal(t, meaning, meaningOf(fmt.Errorf("UNKNOWN: redis eval error: %s", reply)), reply)
			require.Equal(t, meaning == unavailable || meaning == refusesUs, countsForBreaker(redisReply(reply)), reply)
		}
	}
	require.Equal(t, unavailable, meaningOf(io.EOF))
	require.Equal(t, unavailable, meaningOf(errors.New("no idea")))
	require.Equal(t, wrong, meaningOf(redis.Nil))
}

func TestCheck_SaysInWordsWhatTheFaultIs(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]struct {
		begin   func(t *testing.T, server *devstack.Redis)
		address func(address *url.URL) // nil: the right one
		text    string
	}{
		"no password": {
			address: func(address *url.URL) { address.User = nil },
			text:    "auth: Redis refuses the connection: the user or the password in its address is wrong or missing",
		},
		"wrong password": {
			address: func(address *url.URL) { address.User = url.UserPassword("default", "hunter2") },
			text:    "auth: Redis refuses the connection: ",
		},
		"no such database": {
			address: func(address *url.URL) { address.Path = "/99" },
			text:    "database: Redis refuses the connection: it has no database with the number in the address",
		},
		"no right to run scripts": {
			begin: settings("ACL", "SETUSER", "default", "-@scripting"),
			text:  "noperm: Redis refuses commands: its user lacks a right",
		},
		"no replica": {
			begin: settings("CONFIG", "SET", "min-replicas-to-write", 1),
			text:  "noreplicas: Redis takes no writes because it has too few replicas",
		},
		"read-only": {
			begin: settings("REPLICAOF", "127.0.0.1", "1"),
			text:  "readonly: Redis is a replica and takes no writes",
		},
		"full": {
			begin: settings("CONFIG", "SET", "maxmemory", 1),
			text:  "oom: Redis is full and takes no writes; raise its maxmemory",
		},
		"busy": {
			begin: func(t *testing.T, server *devstack.Redis) {
				t.Helper()
				stacktest.RedisCommand(t, server, "CONFIG", "SET", "busy-reply-threshold", 1)
				caller, other := stacktest.RedisClient(t, server), stacktest.RedisClient(t, server)
				var hanging sync.WaitGroup
				hanging.Go(func() { _ = caller.Eval(context.Background(), `while true do end`, nil).Err() })
				t.Cleanup(hanging.Wait)
				t.Cleanup(func() { require.NoError(t, other.ScriptKill(context.Background()).Err()) })
				stacktest.Eventually(t, func() bool {
					err := other.Get(t.Context(), "key").Err()
					return err != nil && telemetry.Class(err) == "busy"
				})
			},
			text: "busy: Redis is busy with a script that does not end; wait, or end it with SCRIPT KILL",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Redis(t)
			address, err := url.Parse(server.URL())
			require.NoError(t, err)
			if fault.address != nil {
				fault.address(address)
			}
			log := &stacktest.Journal{}
			r := openWithoutProber(t, address.String(), log)
			if fault.begin != nil {
				fault.begin(t, server)
			}

			require.ErrorContains(t, r.guard.Check(t.Context()), fault.text)
			require.NotContains(t, log.String(), "hunter2")
		})
	}
}

func TestGuard_OpensWhenALongCallGoesWithoutAPassword(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	r := openWithoutProber(t, "redis://"+addressOf(t, server.URL()), io.Discard)
	keys := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"}

	for range 3 {
		require.False(t, isOpen(r))
		require.False(t, r.Run(t.Context(), "test", limitScript, keys, nil, nil))
	}

	require.Equal(t, "auth", r.guard.Status().Reason)
}

func TestGuard_OpensWhenItsDatabaseIsMissing(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(stacktest.Redis(t).URL())
	require.NoError(t, err)
	address.Path = "/99"
	r := openWithoutProber(t, address.String(), io.Discard)

	breakOpen(t, r)

	require.Equal(t, "database", r.guard.Status().Reason)
}

// Private

// redisReply is an error that Redis has replied.
type redisReply string

func (r redisReply) Error() string { return string(r) }
func (redisReply) RedisError()     {}

// settings runs one command on the server.
func settings(command ...any) func(t *testing.T, server *devstack.Redis) {
	return func(t *testing.T, server *devstack.Redis) {
		t.Helper()
		stacktest.RedisCommand(t, server, command...)
	}
}
