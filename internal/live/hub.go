package live

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// A hub stores events for streams that reconnect: at most maxRecent, of at most
// maxRecentBytes together.
const (
	maxRecent      = 512
	maxRecentBytes = 32 << 20
)

// degradedAfter is how long Redis may be unavailable before open pages learn of
// it. A planned restart of Redis takes less.
const degradedAfter = 2 * time.Second

// Hub passes the events from Redis to the open streams of one web process.
type Hub struct {
	url           string
	redis         *failopen.Redis
	reporter      *telemetry.Reporter
	options       StreamOptions
	openGauge     prometheus.Gauge
	degradedGauge prometheus.Gauge

	mutex   sync.Mutex
	streams map[*stream]struct{}
	recent  []*event // oldest first
	bytes   int      // of the frames of recent
	known   int64    // recent has every event after this number; 0 before the first connection
	heard   int64    // number of the newest event in Redis
	last    int64    // heard, or more than any number before when changes were missed that made no event
	closed  bool

	degraded bool        // pages must poll for changes
	timer    *time.Timer // from the loss of Redis to degraded; nil while connected

	outliving sync.WaitGroup // streams whose handler has returned
}

// NewHub makes a hub that receives events from the Redis at url. Redis is the
// guarded client of the same server. An empty url means that there is no Redis,
// and that pages must always poll.
func NewHub(url string, redis *failopen.Redis, options StreamOptions, reporter *telemetry.Reporter, registry prometheus.Registerer) *Hub {
	hub := &Hub{
		url:      url,
		redis:    redis,
		reporter: reporter,
		options:  options,
		openGauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "app_live_streams",
			Help: "Event streams that are open.",
		}),
		degradedGauge: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "app_live_degraded",
			Help: "1 while open pages must poll for changes, because Redis is unavailable or not configured.",
		}),
		streams: map[*stream]struct{}{},
	}
	registry.MustRegister(hub.openGauge, hub.degradedGauge)
	return hub
}

// Last is the number of the newest event that this process knows, 0 when it
// knows none. A page that passes it to its stream as since misses no event
// between its rendering and the start of the stream.
func (h *Hub) Last() int64 {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.last
}

// Close ends all streams and refuses new ones. Browsers reconnect to another
// process by themselves.
func (h *Hub) Close() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.closed = true
	for s := range h.streams {
		s.end()
	}
}

// Wait waits, after Close, for the streams whose handlers have returned (see
// Subscription.Outlive). It returns an error when ctx ends first.
func (h *Hub) Wait(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		h.outliving.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for event streams: %w", ctx.Err())
	}
}

// Private

// maxQueued is the number of events that may wait for one page.
const maxQueued = 64

// stream is the stream of one open page.
type stream struct {
	topics []string
	events chan *event
	ended  chan struct{} // closed when the stream must end
	lost   atomic.Bool   // an event was lost, because the page reads too slowly
	once   sync.Once
}

func newStream(topics []string) *stream {
	return &stream{topics: topics, events: make(chan *event, maxQueued), ended: make(chan struct{})}
}

// take queues an event. A stream whose queue is full ends; its page reconnects
// and gets the missed events.
func (s *stream) take(e *event) {
	select {
	case s.events <- e:
	default:
		s.lost.Store(true)
		s.end()
	}
}

func (s *stream) end() { s.once.Do(func() { close(s.ended) }) }

func (s *stream) follows(e *event) bool {
	return slices.ContainsFunc(e.Topics, func(topic string) bool { return slices.Contains(s.topics, topic) })
}

// catchUp is what a new stream sends before any new event.
type catchUp struct {
	missed   []*event
	complete bool   // missed has every missed event; otherwise they are unknown
	resync   bool   // the page must reload itself
	status   status // live or degraded
}

// join adds a stream whose page has seen all events up to number since. It
// returns false when the hub is closed or full. Before the first connection to
// Redis, a page that has seen no event has missed none: markConnected makes it reload.
func (h *Hub) join(s *stream, since int64) (catchUp, bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed || len(h.streams) >= h.options.Limit {
		return catchUp{}, false
	}
	h.streams[s] = struct{}{}
	h.openGauge.Inc()

	first := catchUp{status: statusLive}
	if h.degraded {
		first.status = statusDegraded
	}
	seen := slices.IndexFunc(h.recent, func(e *event) bool { return e.number == since })
	switch {
	case h.known == 0:
		first.complete = since == 0
	case since == h.known || seen >= 0:
		first.complete = true
		for _, e := range h.recent[seen+1:] {
			if s.follows(e) {
				first.missed = append(first.missed, e)
			}
		}
	default:
		first.complete = since > h.last // another process is ahead of this one
	}
	return first, true
}

func (h *Hub) leave(s *stream) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.streams, s)
	h.openGauge.Dec()
}

// seenBy is the number up to which a stream has taken all events from its queue,
// 0 while some are queued.
func (h *Hub) seenBy(s *stream) int64 {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(s.events) > 0 || s.lost.Load() {
		return 0
	}
	return h.last
}

// deliver stores an event and queues it for the streams that follow it. It returns
// false when the numbers of events went back: then every open page must reload.
func (h *Hub) deliver(e event) bool {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.deliverLocked(e)
}

func (h *Hub) deliverLocked(e event) bool {
	if e.number <= h.heard {
		h.restartLocked(e.number)
		return false
	}
	e.render()
	h.recent = append(h.recent, &e)
	h.bytes += e.frame.size()
	for len(h.recent) > maxRecent || h.bytes > maxRecentBytes {
		h.known = h.recent[0].number
		h.bytes -= h.recent[0].frame.size()
		h.recent = slices.Delete(h.recent, 0, 1)
	}
	h.heard, h.last = e.number, e.number

	for s := range h.streams {
		if s.follows(&e) {
			s.take(&e)
		}
	}
	return true
}

// markConnected records that the hub receives every event after number, which is 0
// when Redis knows of none. Early are the events received since the subscription,
// which is older than number. Gap says that Redis could not be reached for a while:
// then changes may have been made without an event. When any event may have been
// missed, every open page must reload itself.
func (h *Hub) markConnected(number int64, gap bool, early ...event) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.stopTimerLocked()
	missed := gap || h.degraded
	h.degraded = false
	h.degradedGauge.Set(0)

	number = max(number, 1)
	follows := len(early) > 0 && max(early[0].previous, 1) == h.heard
	if missed || number != h.heard && !follows {
		h.restartLocked(number)
	}
	if h.heard == number {
		newest := slices.IndexFunc(early, func(e event) bool { return e.number == number })
		early = early[newest+1:]
	}
	for _, e := range early {
		h.deliverLocked(e)
	}
}

// restartLocked forgets all events up to number, and makes every open page reload
// itself.
func (h *Hub) restartLocked(number int64) {
	if number == h.heard {
		h.last++ // a page that has seen number must reload too
	} else {
		h.last = number
	}
	h.heard, h.known = number, h.last
	h.recent, h.bytes = nil, 0
	for s := range h.streams {
		s.take(&event{status: statusResync})
	}
}

// markDisconnected records that the hub receives no events, and starts the timer
// unless it runs already.
func (h *Hub) markDisconnected() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.timer != nil {
		return
	}
	var started *time.Timer
	started = time.AfterFunc(degradedAfter, func() {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		if h.timer == started { // not stopped while this function waited for the lock
			h.degradeLocked()
		}
	})
	h.timer = started
}

func (h *Hub) stopTimer() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.stopTimerLocked()
}

func (h *Hub) stopTimerLocked() {
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
}

// degradeLocked makes every open page, and every later one, poll for changes.
func (h *Hub) degradeLocked() {
	h.degraded = true
	h.degradedGauge.Set(1)
	for s := range h.streams {
		s.take(&event{status: statusDegraded})
	}
}
