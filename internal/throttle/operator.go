package throttle

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"slipway/internal/failopen"
)

// Entry is a key whose requests are refused now.
type Entry struct {
	Kind string        // "ban", or "over" for a key over its limit
	Rule string        // the rule that refuses it
	Key  string        // an address, a network, or the hash of an account
	Left time.Duration // until requests pass again
}

// List returns the keys that are banned or over a limit in any process: first the
// bans, then the limits, each with the longest remaining time first. It is false
// when Redis does not reply.
func List(ctx context.Context, redis *failopen.Redis) ([]Entry, bool) {
	lifetimes, ok := redis.Lifetimes(ctx, "throttle.List", keyPrefix+"*")
	var entries []Entry
	for name, left := range lifetimes {
		kind, rule, key := splitKey(name)
		if kind == "ban" || kind == "over" {
			entries = append(entries, Entry{Kind: kind, Rule: rule, Key: key, Left: left})
		}
	}
	slices.SortFunc(entries, func(a, b Entry) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(b.Left, a.Left), cmp.Compare(a.Key, b.Key))
	})
	return entries, ok
}

// Reset deletes bans and counts: those of what, which is a rule, the address of a
// client, an account, or a key as List shows it; empty deletes all. Each process deletes its
// own memory within a second of its next request. Reset returns the number of
// deleted keys, and false when Redis does not reply.
func Reset(ctx context.Context, redis *failopen.Redis, what string, ipv6Prefix int) (int, bool) {
	lifetimes, ok := redis.Lifetimes(ctx, "throttle.Reset", keyPrefix+"*")
	if !ok {
		return 0, false
	}
	var doomed []string
	for name := range lifetimes {
		_, rule, key := splitKey(name)
		if what == "" || rule == what || slices.Contains(keysOf(what, ipv6Prefix), key) {
			doomed = append(doomed, name)
		}
	}
	return len(doomed), deleteAndRaise(ctx, redis, doomed)
}

// Private

// deleteBatch is the largest number of keys that one command deletes.
const deleteBatch = 1000

// deleteAndRaise deletes keys and then raises the generation, by which every
// process learns that it must forget its own counts and bans.
func deleteAndRaise(ctx context.Context, redis *failopen.Redis, keys []string) bool {
	for batch := range slices.Chunk(keys, deleteBatch) {
		if !redis.Delete(ctx, "throttle.Reset", batch...) {
			return false
		}
	}
	return redis.Run(ctx, "throttle.Reset", nextGenerationScript, []string{generationKey}, nil, nil)
}

// keysOf are the keys that an operator may mean by an argument of Reset.
func keysOf(what string, ipv6Prefix int) []string {
	keys := []string{normalizeKey(what), accountKey(what)}
	if address, err := netip.ParseAddr(what); err == nil {
		clients := Clients{ipv6Prefix: ipv6Prefix}
		keys = append(keys, clients.Bucket(address.Unmap().WithZone("")))
	}
	return keys
}

// nextGenerationScript sets the generation to the time in microseconds, so that
// it grows even when Redis has lost the last one.
var nextGenerationScript = failopen.NewScript(`
	local now = redis.call('TIME')
	local number = math.max(now[1] * 1000000 + now[2], (tonumber(redis.call('GET', KEYS[1]) or 0) or 0) + 1)
	redis.call('SET', KEYS[1], string.format('%.0f', number))
	return 1
`)
