package failopen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"slipway/internal/telemetry"
)

// Run closes the breaker when probes of Redis succeed again, until ctx ends.
// Without it, the breaker stays open after the first outage.
func (g *Guard) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-g.opened:
		}
		current := g.outage.Load()
		report := g.reporter.BeginOutage(telemetry.Redis, g.options.Name, current.class, current.since)
		if !g.probeUntilHealthy(ctx) {
			return nil
		}
		g.close()
		report.End(current.refused.Load(), current.failed.Load())
	}
}

// Probe writes to Redis over a connection of its own. The error says why Redis
// did not take the write. PING is no substitute: it succeeds on a Redis that is
// read-only, full or still loading its data.
func (g *Guard) Probe(ctx context.Context) error {
	options, err := QuickOptions(g.options)
	if err != nil {
		return err
	}
	options.PoolSize, options.MinIdleConns = 1, 0
	client := redis.NewClient(options)
	ctx, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	if err := client.Set(ctx, probeKey, 1, time.Second).Err(); err != nil {
		return errors.Join(fmt.Errorf("write to Redis: %w", err), client.Close())
	}
	return client.Close()
}

// Check is Probe for /health: it reports a failure, and it also fails while the
// breaker is open, even when Redis has just recovered.
func (g *Guard) Check(ctx context.Context) error {
	if err := g.Probe(ctx); err != nil {
		g.reporter.Report(telemetry.Redis, "Guard.Check", err)
		return err
	}
	if status := g.Status(); status.Open {
		return &refusalError{status.Reason, "the circuit breaker is still open"}
	}
	return nil
}

// Private

// probeKey is the key that probes write.
const probeKey = "slipway:probe"

// probeUntilHealthy returns true after two successful probes in a row, and
// false when ctx ends first.
func (g *Guard) probeUntilHealthy(ctx context.Context) bool {
	for successes := 0; successes < 2; {
		pause := g.options.ProbeInterval + rand.N(g.options.ProbeInterval)
		if successes > 0 {
			pause = 20 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if g.Probe(ctx) == nil {
			successes++
		} else {
			successes = 0
		}
	}
	return true
}
