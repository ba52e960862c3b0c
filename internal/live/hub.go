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

// kept is how many events a hub remembers for streams that come back.
const kept = 512

// grace is how long Redis may be away before open pages are told. A planned
// restart of Redis takes less.
const grace = 2 * time.Second

// Hub hands the events of one web process to its open streams.
type Hub struct {
	url      string
	redis    *failopen.Redis
	reporter *telemetry.Reporter
	options  StreamOptions
	open     prometheus.Gauge
	away     prometheus.Gauge

	mutex   sync.Mutex
	streams map[*stream]struct{}
	recent  []event // oldest first
	known   int64   // every event with a greater number is in recent; 0: nothing is known
	last    int64   // number of the newest event
	closed  bool

	degraded bool        // pages are told to ask by themselves
	waiting  *time.Timer // from the loss of Redis until pages are told
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
		away: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "app_live_degraded",
			Help: "1 while open pages have to ask for changes by themselves, because Redis is away or there is none.",
		}),
		streams: map[*stream]struct{}{},
	}
	registry.MustRegister(hub.open, hub.away)
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

// welcome is what a stream is told as it begins.
type welcome struct {
	missed   []event
	complete bool // that is all; otherwise it cannot be told what was missed
	news     news // live or degraded
}

// join adds a stream that has seen everything up to number since. It is false
// when there is no room. A hub that knows nothing yet tells its streams as soon
// as it does, so one that has seen nothing misses nothing.
func (h *Hub) join(s *stream, since int64) (welcome, bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed || len(h.streams) >= h.options.Limit {
		return welcome{}, false
	}
	h.streams[s] = struct{}{}
	h.open.Inc()

	told := welcome{news: live}
	if h.degraded {
		told.news = degraded
	}
	if since < h.known || h.known == 0 && since > 0 {
		return told, true
	}
	told.complete = true
	for _, e := range h.recent {
		if e.number > since && s.follows(e) {
			told.missed = append(told.missed, e)
		}
	}
	return told, true
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
// Redis knows of none. Gap tells that Redis was away meanwhile: then changes
// may have made no event at all. Where anything may have gone by unheard, every
// open page must fetch itself anew.
func (h *Hub) connected(number int64, gap bool) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.endWait()
	unheard := gap || h.degraded
	h.degraded = false
	h.away.Set(0)

	number = max(number, 1)
	if number == h.last && !unheard {
		return
	}
	// Also where Redis lost its data and knows of less: whatever a page saw
	// before, it may have missed something since.
	h.last = max(number, h.last+1)
	h.known = h.last
	h.recent = nil
	for s := range h.streams {
		s.take(event{news: resync})
	}
}

// lost tells that the hub hears nothing any more. It may be told again.
func (h *Hub) lost() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.waiting != nil {
		return
	}
	var mine *time.Timer
	mine = time.AfterFunc(grace, func() {
		h.mutex.Lock()
		defer h.mutex.Unlock()
		if h.waiting == mine { // and Redis is not back in this very moment
			h.degrade()
		}
	})
	h.waiting = mine
}

func (h *Hub) stopWaiting() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.endWait()
}

// endWait ends what lost began. The caller holds the lock.
func (h *Hub) endWait() {
	if h.waiting != nil {
		h.waiting.Stop()
		h.waiting = nil
	}
}

// degrade tells every open page, and those to come, to ask by themselves. The
// caller holds the lock.
func (h *Hub) degrade() {
	h.degraded = true
	h.away.Set(1)
	for s := range h.streams {
		s.take(event{news: degraded})
	}
}
