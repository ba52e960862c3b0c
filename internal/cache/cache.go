// Package cache keeps what is costly to make and may be a little old: in the
// process, and in Redis for the other processes. Without Redis each process
// makes its own, once; PostgreSQL is never asked by everybody at the same time.
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

// Options bound a cache.
type Options struct {
	Bytes       int           // that values in this process may take, as JSON; default 8 MiB
	LoadTimeout time.Duration // the longest that making a value may take; default 5 s
	Renew       bool          // makes every value that is asked for anew: for who keeps the caches of others warm
}

// Cache holds values of any Kind. A nil Cache holds nothing: everything is made
// whenever it is asked for.
type Cache struct {
	redis       *failopen.Redis
	local       *otter.Cache[string, entry]
	loadTimeout time.Duration
	renew       bool
	requests    *prometheus.CounterVec

	flights singleflight.Group
	mutex   sync.Mutex
	open    context.Context // until end
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
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_cache_requests_total",
			Help: "Values asked of the cache: local and hit were there, in the process or in Redis; miss had to be made; shared waited for another request's; absent is known not to exist; error could not be made.",
		}, []string{"cache", "result"}),
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
	registry.MustRegister(c.requests)
	return c
}

// Close ends the making of values, waits until none is made any more, and lets
// none begin.
func (c *Cache) Close() {
	c.mutex.Lock()
	c.end()
	c.mutex.Unlock()
	c.running.Wait()
	c.local.StopAllGoroutines()
}

// Private

// entryOverhead is about what the bookkeeping of one entry takes.
const entryOverhead = 160

// entry is a value in the process.
type entry struct {
	value  any
	absent bool // there is no such value
	bytes  int
	until  time.Time
}

// begin tells whether a value may still be made. If so, running.Done follows.
func (c *Cache) begin() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open.Err() != nil {
		return false
	}
	c.running.Add(1)
	return true
}

// detached is the context in which a value is made: it belongs to all who wait
// for it, so it does not end when one of them leaves.
func (c *Cache) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.loadTimeout)
	forget := context.AfterFunc(c.open, cancel)
	return ctx, func() { forget(); cancel() }
}
