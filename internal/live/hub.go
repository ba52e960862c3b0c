package live

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

// kept is how many events a hub remembers for streams that come back.
const kept = 512

// Hub hands the events of one web process to its open streams.
type Hub struct {
	url      string
	redis    *failopen.Redis
	reporter *telemetry.Reporter
	options  StreamOptions
	open     prometheus.Gauge

	mutex   sync.Mutex
	streams map[*stream]struct{}
	recent  []event // oldest first
	known   int64   // every event with a greater number is in recent; 0: nothing is known
	last    int64   // number of the newest event
	closed  bool
}

// NewHub makes a hub that listens to the Redis at url, which redis guards.
func NewHub(url string, redis *failopen.Redis, options StreamOptions, reporter *telemetry.Reporter, registry prometheus.Registerer) *Hub {
	hub := &Hub{
		url:      url,
		redis:    redis,
		reporter: reporter,
		options:  options,
		open: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "app_live_streams",
			Help: "Event streams that are open.",
		}),
		streams: map[*stream]struct{}{},
	}
	registry.MustRegister(hub.open)
	return hub
}

// Last is the number of the newest event that this process knows, 0 when it
// knows none. A page that remembers it misses nothing between its rendering
// and the opening of its stream.
func (h *Hub) Last() int64 {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return h.last
}

// Close ends all streams and lets no new ones begin. Browsers come back by
// themselves, to whichever process then serves.
func (h *Hub) Close() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.closed = true
	for s := range h.streams {
		s.end()
	}
}

// Private

// stream is one open page.
type stream struct {
	topics []string
	events chan event
	gone   chan struct{} // closed when the stream is to end
	lost   atomic.Bool   // an event, because the stream could not keep up
	once   sync.Once
}

// take queues an event. A stream that cannot keep up ends, and its page comes
// back for what it missed.
func (s *stream) take(e event) {
	select {
	case s.events <- e:
	default:
		s.lost.Store(true)
		s.end()
	}
}

func (s *stream) end() { s.once.Do(func() { close(s.gone) }) }

func (s *stream) follows(e event) bool {
	return slices.ContainsFunc(e.Topics, func(topic string) bool { return slices.Contains(s.topics, topic) })
}

// join adds a stream that has seen everything up to number since, and returns
// what it has missed. Complete is false when that cannot be told. A hub that
// knows nothing yet tells its streams as soon as it does, so one that has seen
// nothing misses nothing.
func (h *Hub) join(s *stream, since int64) (missed []event, complete, ok bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed || len(h.streams) >= h.options.Limit {
		return nil, false, false
	}
	h.streams[s] = struct{}{}
	h.open.Inc()

	if since < h.known || h.known == 0 && since > 0 {
		return nil, false, true
	}
	for _, e := range h.recent {
		if e.number > since && s.follows(e) {
			missed = append(missed, e)
		}
	}
	return missed, true, true
}

func (h *Hub) leave(s *stream) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.streams, s)
	h.open.Dec()
}

// seenBy is the number up to which a stream has taken everything, 0 while
// anything still waits for it.
func (h *Hub) seenBy(s *stream) int64 {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(s.events) > 0 || s.lost.Load() {
		return 0
	}
	return h.last
}

// deliver hands an event to the streams that follow it.
func (h *Hub) deliver(e event) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(h.recent) == kept {
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

// connected tells that the hub hears every event after number, which is 0 when
// Redis knows of none. If events went by unheard, every open page must fetch
// itself anew.
func (h *Hub) connected(number int64) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	number = max(number, 1)
	if number == h.last {
		return
	}
	// Also where Redis lost its data and knows of less: whatever a page saw
	// before, it may have missed something since.
	h.last = max(number, h.last+1)
	h.known = h.last
	h.recent = nil
	for s := range h.streams {
		s.take(event{resync: true})
	}
}
