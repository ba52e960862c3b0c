// Package cache caches values that are costly to load and may be a little old: in
// the process, and in Redis for the other processes. Of many requests for one
// value a process loads it once, with or without Redis.
package cache

import (
	"context"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"

	"slipway/internal/failopen"
)

// Options configure a cache.
type Options struct {
	Bytes       int           // largest size of all values in this process, as JSON; default 8 MiB
	LoadTimeout time.Duration // of one load; default 5 s
	Renew       bool          // loads every value that is fetched: for a process that warms the cache of others
}

// Cache holds values of any Kind. A nil Cache holds nothing: every Fetch loads.
type Cache struct {
	redis       *failopen.Redis
	local       *otter.Cache[string, entry]
	loadTimeout time.Duration
	renew       bool
	requests    *prometheus.CounterVec

	flights singleflight.Group
	mutex   sync.Mutex
	open    context.Context // ends with Close
	end     context.CancelFunc
	running sync.WaitGroup
}

// New makes a cache that shares values through redis.
func New(redis *failopen.Redis, options Options, registry prometheus.Registerer) *Cache {
	if options.Bytes == 0 {
		options.Bytes = 8 << 20
	}
	if options.LoadTimeout == 0 {
		options.LoadTimeout = 5 * time.Second
	}
	c := &Cache{
		redis:       redis,
		loadTimeout: options.LoadTimeout,
		renew:       options.Renew,
		requests:    newRequests(),
		local: otter.Must(&otter.Options[string, entry]{
			MaximumWeight: uint64(options.Bytes),
			Weigher:       func(key string, e entry) uint32 { return uint32(len(key) + e.bytes + entryOverhead) },
			ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, entry]) time.Duration {
				return time.Until(e.Value.until)
			}),
			Logger: &otter.NoopLogger{},
		}),
	}
	c.open, c.end = context.WithCancel(context.Background())
	registry.MustRegister(c.requests, c.size(), c.values())
	return c
}

// Close ends the loads in progress, waits for them, and refuses new ones.
func (c *Cache) Close() {
	c.mutex.Lock()
	c.end()
	c.mutex.Unlock()
	c.running.Wait()
	c.local.StopAllGoroutines()
}

// Private

// entryOverhead is roughly the size of the bookkeeping of one entry, in bytes.
const entryOverhead = 160

// entry is a value in the process.
type entry struct {
	value  any
	absent bool // the value is known not to exist
	bytes  int
	until  time.Time
}

// begin reports whether a load may begin. The caller must then call running.Done.
func (c *Cache) begin() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open.Err() != nil {
		return false
	}
	c.running.Add(1)
	return true
}

// detached is the context of a load. All requests that wait for the load share
// it, so it does not end with the context of one of them.
func (c *Cache) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.loadTimeout)
	stop := context.AfterFunc(c.open, cancel)
	return ctx, func() { stop(); cancel() }
}
