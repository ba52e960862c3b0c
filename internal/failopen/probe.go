package failopen

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
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
		if !g.endOutage(ctx) {
			return nil
		}
	}
}

// Probe makes calls like those of the application, over a connection of its own:
// a pipeline with a script that writes several keys, whose request and reply are
// as large as the largest of this process. The error says why Redis did not
// serve them. A smaller probe may succeed while real calls fail: PING succeeds on
// a Redis that is read-only or full, a write of one key succeeds on a Redis in
// cluster mode, and a short one passes a network that loses long packets.
func (g *Guard) Probe(ctx context.Context) error {
	bounds := g.options
	bounds.connections, bounds.PoolSize, bounds.MinIdle = nil, 1, 0
	options, err := QuickOptions(bounds)
	if err != nil {
		return err
	}
	client := redis.NewClient(options)
	ctx, cancel := context.WithTimeout(ctx, g.options.Timeout)
	defer cancel()
	if err := g.callAsOthers(ctx, client); err != nil {
		return errors.Join(fmt.Errorf("probe Redis: %w", err), client.Close())
	}
	return client.Close()
}

// Check is Probe for /health: it reports a failure, and returns it as a Fault. It
// also fails while the breaker is open, even when Redis has just recovered, and
// while the breaker opens again and again.
func (g *Guard) Check(ctx context.Context) error {
	if err := g.Probe(ctx); err != nil {
		g.reporter.Report(telemetry.Redis, "Guard.Check", err)
		fault := faultOf(err)
		if fault.class == "cluster" {
			g.open(err, 1, false) // some calls would succeed, depending on the slots of their keys
		}
		return fault
	}
	status := g.Status()
	switch {
	case status.Openings > 0:
		return &Fault{class: "flapping", Usable: !status.Open, text: fmt.Sprintf(
			"calls of Redis fail soon after each recovery, the last time because of %s; calls were suspended %d times within %s",
			status.LastReason, status.Openings, time.Since(status.FlapsSince).Round(time.Second))}
	case status.Open:
		return &Fault{class: status.Reason, text: "Redis replies again, and the breaker closes after further probes"}
	}
	return nil
}

// Private

// probeKey is the key that probes write, and the start of further ones.
const probeKey = "probe"

// largestProbe bounds the request and the reply of a probe, in bytes.
const largestProbe = 64 << 10

// probeScript writes all keys, which are in different slots of a Redis cluster. It
// stores nothing large, because Redis would log it on its disk every second.
const probeScript = `
	for i, key in ipairs(KEYS) do
		redis.call('SET', key, i, 'PX', 1000)
	end
	return string.rep('x', ARGV[1])
`

// callAsOthers makes the calls of a probe.
func (g *Guard) callAsOthers(ctx context.Context, client *redis.Client) error {
	size := min(int(g.options.connections.largestReply.Load()), largestProbe)
	filler := strings.Repeat("x", min(int(g.options.connections.largestRequest.Load()), largestProbe))
	key := g.options.key(probeKey)
	keys := []string{key, key + ":2", key + ":3"}
	var script *redis.Cmd
	_, err := client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		script = pipe.Eval(ctx, probeScript, keys, size, filler)
		pipe.Exists(ctx, key)
		return nil
	})
	if err != nil {
		return err
	}
	reply, err := script.Text()
	if err == nil && len(reply) != size {
		err = fmt.Errorf("the reply has %d bytes in place of %d", len(reply), size)
	}
	return err
}

// endOutage waits until Redis is healthy and closes the breaker, and reports the
// outage. While the breaker flaps, all its openings are one outage, which ends
// when the breaker has stayed closed for relapseWithin. It returns false when ctx
// ends first.
func (g *Guard) endOutage(ctx context.Context) bool {
	current := g.outage.Load()
	report := g.reporter.BeginOutage(telemetry.Redis, g.options.Name, current.class, current.since)
	if flapping := current.relapse; flapping.flaps() {
		report.Flaps(flapping.openings, current.class, flapping.since)
	}
	var refused, failed int64
	for {
		if !g.probeUntilHealthy(ctx, current.relapse.steady()) {
			return false
		}
		g.close()
		refused += current.refused.Load()
		failed += current.failed.Load()
		if !current.relapse.flaps() {
			break
		}
		select {
		case <-ctx.Done():
			return false
		case <-g.opened:
			current = g.outage.Load()
			continue
		case <-time.After(g.relapseWithin):
		}
		break
	}
	report.End(refused, failed)
	return true
}

// probeUntilHealthy returns true when at least two probes in a row, and all probes
// for the time steady, have succeeded. It returns false when ctx ends first.
func (g *Guard) probeUntilHealthy(ctx context.Context, steady time.Duration) bool {
	var healthySince time.Time
	for successes := 0; successes < 2 || time.Since(healthySince) < steady; {
		pause := g.options.ProbeInterval + rand.N(g.options.ProbeInterval)
		if successes > 0 {
			pause = max(20*time.Millisecond, steady/10)
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pause):
		}
		if g.Probe(ctx) != nil {
			successes = 0
			continue
		}
		if successes++; successes == 1 {
			healthySince = time.Now()
		}
	}
	return true
}
