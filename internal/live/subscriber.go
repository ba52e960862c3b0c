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
	options, err := failopen.SubscriberOptions(h.url)
	if err != nil {
		return err
	}
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
	defer func() {
		if cause := recover(); cause != nil {
			err = telemetry.Recovered(cause)
		}
	}()
	subscription := client.Subscribe(ctx, h.redis.Channel(channel))
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
	early, err := h.receiveEarly(ctx, subscription)
	if err != nil {
		return false, err
	}
	h.markConnected(number, gap, early...)

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
		if e, ok := h.read(message); ok && !h.deliver(e) {
			h.reporter.Report(telemetry.Redis, "Hub.listen", errWentBack)
		}
	}
}

// receiveEarly returns the events that were published since the subscription. Redis
// sends them before its reply to a ping.
func (h *Hub) receiveEarly(ctx context.Context, subscription *redis.PubSub) (early []event, err error) {
	if err := subscription.Ping(ctx); err != nil {
		return nil, fmt.Errorf("ping Redis: %w", err)
	}
	for len(early) <= maxRecent {
		message, err := subscription.ReceiveTimeout(ctx, pingAfter)
		if err != nil {
			return nil, fmt.Errorf("receive live events: %w", err)
		}
		if _, replied := message.(*redis.Pong); replied {
			return early, nil
		}
		if e, ok := h.read(message); ok {
			early = append(early, e)
		}
	}
	return nil, errors.New("ping Redis: more events than it may send before its reply")
}

var errWentBack = errors.New("numbers of live events went back: the clock of Redis was set back and its data were lost; open pages reload")

// read returns the event in a message, if there is one.
func (h *Hub) read(message any) (e event, ok bool) {
	published, is := message.(*redis.Message)
	if !is {
		return event{}, false
	}
	e, err := parseEvent(published.Payload)
	if err != nil {
		h.reporter.Report(telemetry.Redis, "Hub.listen", err)
		return event{}, false
	}
	return e, true
}
