package failopen

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script that Redis runs as one step. Redis caches it, so that
// later runs send only its hash.
type Script struct {
	script *redis.Script
}

// NewScript makes a script of Lua source.
func NewScript(lua string) *Script {
	return &Script{redis.NewScript(lua)}
}

// Run runs a script and passes the reply to read, and reports whether both
// went well. An error that read returns counts as a failed call. Read is not
// called when Redis replies with an error or not at all; it may be nil. Source
// names the caller in logs and metrics.
func (r *Redis) Run(ctx context.Context, source string, script *Script, keys []string, arguments []any, read func(Reply) error) bool {
	keys = r.keys(keys)
	return r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		return passReply(script.script.Run(ctx, r.client, keys, arguments...), read)
	})
}

// Command is like Run for a command of Redis that takes keys and nothing else.
func (r *Redis) Command(ctx context.Context, source, name string, keys []string, read func(Reply) error) bool {
	keys = r.keys(keys)
	arguments := make([]any, 0, 1+len(keys))
	arguments = append(arguments, name)
	for _, key := range keys {
		arguments = append(arguments, key)
	}
	return r.onKeys(ctx, source, keys, func(ctx context.Context) error {
		return passReply(r.client.Do(ctx, arguments...), read)
	})
}

// Reply is the reply of Redis to a script or a command.
type Reply struct {
	command *redis.Cmd
}

// Missing reports that there is no value: a Lua nil, or a key that is not set.
func (r Reply) Missing() bool { return errors.Is(r.command.Err(), redis.Nil) }

// Int64 returns the reply as a number, or an error when it is not a number.
func (r Reply) Int64() (int64, error) { return r.command.Int64() }

// Int64s returns the reply as a list of numbers, or an error when it is no such list.
func (r Reply) Int64s() ([]int64, error) { return r.command.Int64Slice() }

// Private

func passReply(command *redis.Cmd, read func(Reply) error) error {
	err := command.Err()
	if read == nil || err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	return read(Reply{command})
}
