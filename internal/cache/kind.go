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

// Kind is what the values of one kind have in common. All who fetch a value
// share it: nobody may change it.
type Kind[T any] struct {
	Name    string        // in keys and metrics
	Version int           // raise it when the meaning or the JSON of T changes: two releases side by side do not misread each other
	Life    time.Duration // how old a value may get; each lives a little shorter, by chance
	Local   bool          // never in Redis: what is cheap to make, or has more keys than Redis should hold
	Absent  error         // what load says where there is no such value; kept for at most absentLife, in this process alone
}

// absentLife is how long the cache knows that there is no such value. It is
// short, because one may be made at any time.
const absentLife = 5 * time.Second

// Fetch returns the value of key, made by load where nobody has one that is
// young enough. Of many who ask at once, one loads and all others wait for it,
// each for as long as its ctx lasts. Errors of load are returned and not kept.
func (k Kind[T]) Fetch(ctx context.Context, c *Cache, key string, load func(ctx context.Context) (T, error)) (T, error) {
	if c == nil {
		return load(ctx)
	}
	key = k.key(key)
	if known, ok := c.local.GetIfPresent(key); ok && !c.renew {
		if value, err, ok := k.known(known); ok {
			c.count(k.Name, resultOf(local, err, k.Absent))
			return value, err
		}
	}

	led := result("")
	flight := c.flights.DoChan(key, func() (any, error) {
		value, how, err := k.make(ctx, c, key, load)
		led = how
		return value, err
	})
	select {
	case made := <-flight:
		how := led
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

// Keep remembers a value in this process, for Last.
func (k Kind[T]) Keep(c *Cache, key string, value T) {
	if c == nil {
		return
	}
	if encoded, err := json.Marshal(value); err == nil {
		c.local.Set(k.key(key), entry{value: value, bytes: len(encoded), until: time.Now().Add(k.Life)})
	}
}

// Last is what was kept or fetched in this process, while it is young enough.
func (k Kind[T]) Last(c *Cache, key string) (value T, ok bool) {
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

// source names the cache in the log of Redis failures.
const source = "Cache.Fetch"

// mostShared is the largest value in bytes that goes to Redis.
const mostShared = 1 << 20

var errClosed = errors.New("the process is about to end")

// shelved is a value as Redis holds it. Until goes with it, so that a value
// does not live once in Redis and once more in every process that found it.
type shelved[T any] struct {
	Until int64 `json:"until"` // Unix milliseconds
	Value T     `json:"value"`
}

func (k Kind[T]) key(key string) string {
	return "slipway:cache:" + k.Name + ":v" + strconv.Itoa(k.Version) + ":" + key
}

// known is what an entry of this process says. Ok is false for one that is not
// of this kind.
func (k Kind[T]) known(e entry) (value T, err error, ok bool) {
	if e.absent {
		return value, k.Absent, k.Absent != nil
	}
	value, ok = e.value.(T)
	return value, nil, ok
}

// make finds the value in Redis or loads it, and keeps it.
func (k Kind[T]) make(ctx context.Context, c *Cache, key string, load func(ctx context.Context) (T, error)) (value T, how result, err error) {
	if !c.begin() {
		return value, failed, errClosed
	}
	defer c.running.Done()
	defer func() {
		if cause := recover(); cause != nil {
			how, err = failed, fmt.Errorf("make %s: panic: %v", k.Name, cause)
		}
	}()
	// Another flight may have landed since the caller looked.
	if landed, ok := c.local.GetIfPresent(key); ok && !c.renew {
		if value, err, ok := k.known(landed); ok {
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

// find looks in Redis. What cannot be read there is as good as nothing, and is
// written over.
func (k Kind[T]) find(ctx context.Context, c *Cache, key string) (value T, ok bool) {
	if k.Local {
		return value, false
	}
	encoded, answer := c.redis.Get(ctx, source, key)
	if answer != failopen.Found {
		return value, false
	}
	var found shelved[T]
	if json.Unmarshal(encoded, &found) != nil {
		return value, false
	}
	// Never longer than a life of its own, whatever other clocks say.
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
	encoded, err := json.Marshal(shelved[T]{Until: until.UnixMilli(), Value: value})
	if err != nil {
		panic(fmt.Sprintf("a %s cannot be JSON: %v", k.Name, err)) // a programming error
	}
	c.local.Set(key, entry{value: value, bytes: len(encoded), until: until})
	if !k.Local && len(encoded) <= mostShared {
		c.redis.Set(ctx, source, key, encoded, life)
	}
}
