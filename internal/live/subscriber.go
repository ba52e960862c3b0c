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
)

// silence is how long the subscriber waits for a message before it asks
// whether Redis is still there. A second silence means that it is not: a peer
// that vanished without a word closes nothing.
const silence = 2 * time.Second

// longestPause lies between two tries to reach a Redis that is away.
const longestPause = 500 * time.Millisecond

// Run listens to Redis until ctx ends, and comes back after every outage.
func (h *Hub) Run(ctx context.Context) error {
	h.lost() // until heard for the first time
	defer h.stopWaiting()
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
	for pause := 50 * time.Millisecond; ; pause = min(2*pause, longestPause) {
		heard, err := h.listen(ctx, client, gap)
		if ctx.Err() != nil {
			return nil
		}
		h.reporter.Report("Redis", "Hub.listen", err)
		h.lost()
		gap = !heard
		if heard {
			pause = 50 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

// Private

// listen delivers events until the connection breaks. Heard tells whether it
// had got as far as listening, gap whether the try before had not.
func (h *Hub) listen(ctx context.Context, client *redis.Client, gap bool) (heard bool, err error) {
	subscription := client.Subscribe(ctx, channel)
	defer subscription.Close()
	// A read in progress does not notice the end of ctx: closing makes it return.
	stop := context.AfterFunc(ctx, func() { _ = subscription.Close() })
	defer stop()

	if _, err := subscription.ReceiveTimeout(ctx, silence); err != nil {
		return false, fmt.Errorf("subscribe to live events: %w", err)
	}
	// Asked only now: what is published from here on is heard.
	number, ok := lastNumber(ctx, h.redis)
	if !ok {
		return false, errors.New("read the number of the last live event")
	}
	h.connected(number, gap)

	for asked := false; ; {
		message, err := subscription.ReceiveTimeout(ctx, silence)
		switch {
		case err == nil:
			asked = false
		case errors.Is(err, os.ErrDeadlineExceeded) && !asked:
			if err := subscription.Ping(ctx); err != nil {
				return true, fmt.Errorf("ping Redis: %w", err)
			}
			asked = true
			continue
		default:
			return true, fmt.Errorf("receive live events: %w", err)
		}
		if published, ok := message.(*redis.Message); ok {
			e, err := parseEvent(published.Payload)
			if err != nil {
				h.reporter.Report("Redis", "Hub.listen", err)
				continue
			}
			if e.number > h.Last() {
				h.deliver(e)
			}
		}
	}
}
