package cache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	"slipway/internal/failopen"
)

// Kind describes the values of one kind. All callers of Fetch share one value:
// they must not change it.
type Kind[T any] struct {
	Name    string        // in keys and metrics
	Version int           // raise it when the meaning or the JSON of T changes, so that two releases do not misread each other
	Life    time.Duration // greatest age of a value; each expires up to a fifth earlier, at random, so that they do not expire together
	Local   bool          // never in Redis: for values that are cheap to load, or have too many keys
	Absent  error         // the error of load for a value that does not exist; cached in this process alone, see absentLife
}

// absentLife is how long the cache remembers that a value does not exist. It is
// short, because the value may be created at any time.
const absentLife = 5 * time.Second

// Fetch returns the value of key from this process, from Redis, or from load. Of
// several calls at once, one loads and the others wait for it until their ctx
// ends. An error of load is returned to all of them and not cached, except Absent.
func (k Kind[T]) Fetch(ctx context.Context, c *Cache, key string, load func(ctx context.Context) (T, error)) (T, error) {
	if c == nil {
		return load(ctx)
	}
	key = k.key(key)
	if known, ok := c.local.GetIfPresent(key); ok && !c.renew {
		if value, ok, err := k.unpack(known); ok {
			c.count(k.Name, resultOf(local, err, k.Absent))
			return value, err
		}
	}

	own := result("") // stays empty when another call loads
	flight := c.flights.DoChan(key, func() (any, error) {
		value, how, err := k.findOrLoad(ctx, c, key, load)
		own = how
		return value, err
	})
	select {
	case made := <-flight:
		how := own
		if how == "" {
			how = shared
		}
		c.count(k.Name, resultOf(how, made.Err, k.Absent))
		value, _ := made.Val.(T)
		return value, made.Err
	case <-ctx.Done():
		c.count(k.Name, failed)
		var none T
		return none, fmt.Errorf("wait for %s: %w", k.Name, ctx.Err())
	}
}

// Put caches a value in this process alone, for Life.
func (k Kind[T]) Put(c *Cache, key string, value T) {
	if c == nil {
		return
	}
	if encoded, err := json.Marshal(value); err == nil {
		c.local.Set(k.key(key), entry{value: value, bytes: len(encoded), until: time.Now().Add(k.Life)})
	}
}

// Peek returns the value that this process has cached, without loading it.
func (k Kind[T]) Peek(c *Cache, key string) (value T, ok bool) {
	if c == nil {
		return value, false
	}
	known, ok := c.local.GetIfPresent(k.key(key))
	if !ok {
		return value, false
	}
	value, ok = known.value.(T)
	return value, ok
}

// Private

// source names the cache in the log and the metrics of Redis.
const source = "Cache.Fetch"

// largestShared is the size in bytes of the largest value that goes to Redis.
const largestShared = 1 << 20

var errClosed = errors.New("the cache is closed")

// loader is the load function of a Fetch.
type loader[T any] func(ctx context.Context) (T, error)

// sharedValue is a value in Redis with the time at which it expires. Without that
// time, a process that finds the value would cache it for another whole Life.
type sharedValue[T any] struct {
	Until int64 `json:"until"` // Unix milliseconds
	Value T     `json:"value"`
}

func (k Kind[T]) key(key string) string {
	return "cache:" + k.Name + ":v" + strconv.Itoa(k.Version) + ":" + key
}

// unpack returns the value or the error of an entry. Ok is false for an entry of
// another type.
func (k Kind[T]) unpack(e entry) (value T, ok bool, err error) {
	if e.absent {
		return value, k.Absent != nil, k.Absent
	}
	value, ok = e.value.(T)
	return value, ok, nil
}

// findOrLoad finds the value in Redis or loads it, and caches it.
func (k Kind[T]) findOrLoad(ctx context.Context, c *Cache, key string, load loader[T]) (value T, how result, err error) {
	if !c.begin() {
		return value, failed, errClosed
	}
	defer c.running.Done()
	defer func() {
		if cause := recover(); cause != nil {
			how, err = failed, fmt.Errorf("load %s: panic: %v", k.Name, cause)
		}
	}()
	// Another call may have cached the value since this one checked.
	if cached, ok := c.local.GetIfPresent(key); ok && !c.renew {
		if value, ok, err := k.unpack(cached); ok {
			return value, local, err
		}
	}
	ctx, cancel := c.detached(ctx)
	defer cancel()

	if !c.renew {
		if value, ok := k.find(ctx, c, key); ok {
			return value, hit, nil
		}
	}
	value, err = load(ctx)
	switch {
	case err == nil:
		k.store(ctx, c, key, value)
	case k.Absent != nil && errors.Is(err, k.Absent):
		c.local.Set(key, entry{absent: true, until: time.Now().Add(min(absentLife, k.Life))})
	}
	return value, missed, err
}

// find reads a value from Redis. A value that cannot be decoded counts as missing,
// and the next store overwrites it.
func (k Kind[T]) find(ctx context.Context, c *Cache, key string) (value T, ok bool) {
	if k.Local {
		return value, false
	}
	encoded, lookup := c.redis.Get(ctx, source, key)
	if lookup != failopen.Found {
		return value, false
	}
	var found sharedValue[T]
	if json.Unmarshal(encoded, &found) != nil {
		return value, false
	}
	// At most one life from now, even when the clock of another process is ahead.
	until := time.UnixMilli(found.Until)
	if latest := time.Now().Add(k.Life); until.After(latest) {
		until = latest
	}
	if !until.After(time.Now()) {
		return value, false
	}
	c.local.Set(key, entry{value: found.Value, bytes: len(encoded), until: until})
	return found.Value, true
}

func (k Kind[T]) store(ctx context.Context, c *Cache, key string, value T) {
	life := k.Life*8/10 + rand.N(k.Life*2/10)
	until := time.Now().Add(life)
	encoded, err := json.Marshal(sharedValue[T]{Until: until.UnixMilli(), Value: value})
	if err != nil {
		panic(fmt.Sprintf("encode %s: %v", k.Name, err)) // a programming error
	}
	c.local.Set(key, entry{value: value, bytes: len(encoded), until: until})
	if !k.Local && len(encoded) <= largestShared {
		c.redis.Set(ctx, source, key, encoded, life)
	}
}
