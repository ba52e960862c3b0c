package failopen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"
)

// Run brings Redis back into use when it answers again. It returns when ctx
// ends. Without it, a Redis that went away once is never called again.
func (g *Guard) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.opened:
		}
		if !g.awaitReturn(ctx) {
			return nil
		}
		_, since := g.Open()
		g.close()
		g.reporter.Returned("Redis", since)
	}
}

// Probe tells whether Redis takes writes, over a connection of its own. A PING
// would call a Redis healthy that is read-only, full or still loading.
func (g *Guard) Probe(ctx context.Context) error {
	options, err := QuickOptions(g.url, 1, g.timeout)
	if err != nil {
		return err
	}
	options.MinIdleConns = 0
	client := redis.NewClient(options)
	ctx, cancel := context.WithTimeout(ctx, g.timeout)
	defer cancel()
	if err := client.Set(ctx, "slipway:probe", 1, time.Second).Err(); err != nil {
		return errors.Join(fmt.Errorf("write to Redis: %w", err), client.Close())
	}
	return client.Close()
}

// Private

// awaitReturn probes until two probes in a row went well.
func (g *Guard) awaitReturn(ctx context.Context) bool {
	for good := 0; good < 2; {
		pause := time.Duration(100+rand.IntN(100)) * time.Millisecond
		if good > 0 {
			pause = 20 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if g.Probe(ctx) == nil {
			good++
		} else {
			good = 0
		}
	}
	return true
}
