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
		away := g.outage.Load()
		told := g.reporter.Away("Redis", g.options.Name, away.class, away.since)
		if !g.awaitReturn(ctx) {
			return nil
		}
		g.close()
		told.Over(away.refused.Load(), away.failed.Load())
	}
}

// Probe tells whether Redis takes writes, over a connection of its own. A PING
// would call a Redis healthy that is read-only, full or still loading.
func (g *Guard) Probe(ctx context.Context) error {
	options, err := QuickOptions(g.options)
	if err != nil {
		return err
	}
	options.PoolSize, options.MinIdleConns = 1, 0
	client := redis.NewClient(options)
	ctx, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	if err := client.Set(ctx, "slipway:probe", 1, time.Second).Err(); err != nil {
		return errors.Join(fmt.Errorf("write to Redis: %w", err), client.Close())
	}
	return client.Close()
}

// Check is Probe for /health: it is reported, and fails also while calls are
// refused, though Redis may have just come back.
func (g *Guard) Check(ctx context.Context) error {
	if err := g.Probe(ctx); err != nil {
		g.reporter.Report("Redis", "Guard.Check", err)
		return err
	}
	if status := g.Status(); status.Open {
		return &notMade{status.Reason, "calls are still refused"}
	}
	return nil
}

// Private

// awaitReturn probes until two probes in a row went well.
func (g *Guard) awaitReturn(ctx context.Context) bool {
	for good := 0; good < 2; {
		pause := g.options.ProbeInterval + rand.N(g.options.ProbeInterval)
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
