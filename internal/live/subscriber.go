package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// pingAfter is how long the subscriber waits for a message before it pings Redis,
// and then how long it waits for the reply. A peer that has crashed or lost its
// network does not close the connection.
const pingAfter = 2 * time.Second

// The pause between two attempts to connect grows from the first to the longest.
const (
	firstPause   = 50 * time.Millisecond
	longestPause = 500 * time.Millisecond
)

// Run receives events from Redis until ctx ends, and connects again after each
// outage.
func (h *Hub) Run(ctx context.Context) error {
	h.markDisconnected()
	defer h.stopTimer()
	if h.url == "" {
		<-ctx.Done()
		return nil
	}
	options, err := failopen.PatientOptions(h.url, 2)
	if err != nil {
		return err
	}
	options.MaxRetries = -1
	client := redis.NewClient(options)
	defer client.Close()

	gap := false
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		subscribed, err := h.listen(ctx, client, gap)
		if ctx.Err() != nil {
			return nil
		}
		h.reporter.Report(telemetry.Redis, "Hub.listen", err)
		h.markDisconnected()
		gap = !subscribed
		if subscribed {
			pause = firstPause
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// Private

// listen delivers events until the connection breaks. Subscribed reports whether
// it could subscribe at all; gap says that the attempt before could not.
func (h *Hub) listen(ctx context.Context, client *redis.Client, gap bool) (subscribed bool, err error) {
	subscription := client.Subscribe(ctx, channel)
	defer subscription.Close()
	// A read in progress does not notice the end of ctx, but it ends with the
	// connection.
	stop := context.AfterFunc(ctx, func() { _ = subscription.Close() })
	defer stop()

	if _, err := subscription.ReceiveTimeout(ctx, pingAfter); err != nil {
		return false, fmt.Errorf("subscribe to live events: %w", err)
	}
	// After the subscription: every later event is received.
	number, ok := lastNumber(ctx, h.redis)
	if !ok {
		return false, errors.New("read the number of the last live event: no reply from Redis")
	}
	h.markConnected(number, gap)

	for pinged := false; ; {
		message, err := subscription.ReceiveTimeout(ctx, pingAfter)
		switch {
		case err == nil:
			pinged = false
		case errors.Is(err, os.ErrDeadlineExceeded) && !pinged:
			if err := subscription.Ping(ctx); err != nil {
				return true, fmt.Errorf("ping Redis: %w", err)
			}
			pinged = true
			continue
		default:
			return true, fmt.Errorf("receive live events: %w", err)
		}
		if published, ok := message.(*redis.Message); ok {
			e, err := parseEvent(published.Payload)
			if err != nil {
				h.reporter.Report(telemetry.Redis, "Hub.listen", err)
				continue
			}
			if e.number > h.Last() {
				h.deliver(e)
			}
		}
	}
}
