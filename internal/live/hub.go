package live

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// maxRecent is the number of events that a hub stores for streams that reconnect.
const maxRecent = 512

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
	recent  []event // oldest first
	known   int64   // recent has every event with a greater number; 0 before the first connection
	last    int64   // number of the newest event
	closed  bool

	degraded bool        // pages must poll for changes
	timer    *time.Timer // from the loss of Redis to degraded; nil while connected
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

// Private

// stream is the stream of one open page.
type stream struct {
	topics []string
	events chan event
	ended  chan struct{} // closed when the stream must end
	lost   atomic.Bool   // an event was lost, because the page reads too slowly
	once   sync.Once
}

// take queues an event. A stream whose queue is full ends; its page reconnects
// and gets the missed events.
func (s *stream) take(e event) {
	select {
	case s.events <- e:
	default:
		s.lost.Store(true)
		s.end()
	}
}

func (s *stream) end() { s.once.Do(func() { close(s.ended) }) }

func (s *stream) follows(e event) bool {
	return slices.ContainsFunc(e.Topics, func(topic string) bool { return slices.Contains(s.topics, topic) })
}

// catchUp is what a new stream sends before any new event.
type catchUp struct {
	missed   []event
	complete bool   // missed has every missed event; otherwise they are unknown
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
	if since < h.known || h.known == 0 && since > 0 {
		return first, true
	}
	first.complete = true
	for _, e := range h.recent {
		if e.number > since && s.follows(e) {
			first.missed = append(first.missed, e)
		}
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

// deliver stores an event and queues it for the streams that follow it.
func (h *Hub) deliver(e event) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(h.recent) == maxRecent {
		h.known = h.recent[0].number
		h.recent = slices.Delete(h.recent, 0, 1)
	}
	h.recent = append(h.recent, e)
	h.last = e.number

	for s := range h.streams {
		if s.follows(e) {
			s.take(e)
		}
	}
}

// markConnected records that the hub receives every event after number, which is 0
// when Redis knows of none. Gap says that Redis could not be reached for a while:
// then changes may have been made without an event. When any event may have been
// missed, every open page must reload itself.
func (h *Hub) markConnected(number int64, gap bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.stopTimerLocked()
	missed := gap || h.degraded
	h.degraded = false
	h.degradedGauge.Set(0)

	number = max(number, 1)
	if number == h.last && !missed {
		return
	}
	// The number is lower than the last one when Redis has lost its data.
	h.last = max(number, h.last+1)
	h.known = h.last
	h.recent = nil
	for s := range h.streams {
		s.take(event{status: statusResync})
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
		s.take(event{status: statusDegraded})
	}
}
