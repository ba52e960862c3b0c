package live

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// heartbeatInterval is short enough that no proxy closes a quiet stream: the
// usual idle timeouts are 30 to 60 seconds. A heartbeat that cannot be written also
// ends the stream, and each one gives the browser the number of the last event.
const heartbeatInterval = 10 * time.Second

// writeTimeout ends the stream of a browser that no longer reads.
const writeTimeout = 5 * time.Second

// StreamOptions configure the streams of a hub.
type StreamOptions struct {
	Lifetime time.Duration // longest time that a stream lasts before the browser must reconnect
	Limit    int           // largest number of open streams
}

// Serve streams the events of topics to one page until the page leaves, the
// lifetime of the stream is over, or the hub is closed. When the hub is full it
// replies 503.
//
// A stream begins with the fragments of opening. A page that reconnects names the
// last event it saw, in Last-Event-ID or in the query as since=NUMBER, and gets
// the events that it missed. When those are unknown it gets the event "resync",
// and must reload itself. Then comes the event "live", or "degraded" while Redis
// is unavailable: until "live" or "resync" the page must poll for changes. See
// WHATWG HTML, server-sent events.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, topics []string, opening ...string) {
	s := &stream{topics: topics, events: make(chan event, 64), ended: make(chan struct{})}
	since, reconnects := lastSeen(r)
	if h.isForgotten(r.Context(), since) {
		since = -1
	}
	first, ok := h.join(s, since)
	if !ok {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "no more live updates from this process, try again later", http.StatusServiceUnavailable)
		return
	}
	defer h.leave(s)

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	out := sender{w: w, controller: http.NewResponseController(w)}
	// After a crash browsers reconnect within one to three seconds, not all at once.
	out.retry(1000 + rand.IntN(2000))
	for _, html := range opening {
		out.fragment(html)
	}
	if reconnects && !first.complete {
		out.status(statusResync)
	}
	for _, e := range first.missed {
		out.event(e)
	}
	out.status(first.status)
	out.mark(h.seenBy(s))

	life := time.NewTimer(h.options.Lifetime*8/10 + rand.N(h.options.Lifetime*2/10))
	defer life.Stop()
	heartbeat := time.NewTicker(heartbeatInterval)
	defer heartbeat.Stop()
	for out.err == nil {
		select {
		case e := <-s.events:
			if e.status != "" {
				out.status(e.status)
				out.mark(h.seenBy(s))
				continue
			}
			out.event(e)
		case <-heartbeat.C:
			out.mark(h.seenBy(s))
		case <-life.C:
			// A planned end: the browser reconnects at once.
			out.mark(h.seenBy(s))
			out.retry(20 + rand.IntN(80))
			return
		case <-s.ended:
			out.mark(h.seenBy(s))
			out.retry(100 + rand.IntN(900))
			return
		case <-r.Context().Done():
			return
		}
	}
}

// Private

// lastSeen is the number of the last event that the page has seen. It returns
// false when the page names none.
func lastSeen(r *http.Request) (number int64, named bool) {
	seen := r.Header.Get("Last-Event-ID")
	if seen == "" {
		seen = r.URL.Query().Get("since")
	}
	number, err := strconv.ParseInt(seen, 10, 64)
	if err != nil || number < 0 {
		return 0, false
	}
	return number, true
}

// clockTolerance is the time in microseconds by which a page's number may exceed
// that of Redis: a hub raises its own number when changes have made no event.
const clockTolerance = 1_000_000

// isForgotten reports whether Redis has lost the event that a page has seen, and
// its clock was set back since.
func (h *Hub) isForgotten(ctx context.Context, since int64) bool {
	if last := h.Last(); last == 0 || since <= last {
		return false
	}
	number, ok := lastNumber(ctx, h.redis)
	return ok && since > number+clockTolerance
}

// sender writes an event stream. After the first error it writes no more.
type sender struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	err        error
}

func (s *sender) event(e event) {
	s.send("id: %d\nevent: fragment\ndata: %s\n\n", e.number, dataLines(e.HTML))
}

// fragment sends a fragment that is no event of the hub, and so has no number.
func (s *sender) fragment(html string) {
	s.send("event: fragment\ndata: %s\n\n", dataLines(html))
}

func (s *sender) status(now status) { s.send("event: %s\ndata: %s\n\n", now, now) }

// mark sends the number of the last event that the page has seen, without an
// event. A seen of 0 is unknown, and only keeps the connection alive.
func (s *sender) mark(seen int64) {
	if seen == 0 {
		s.send(":\n\n")
		return
	}
	s.send("id: %d\n\n", seen)
}

func (s *sender) retry(milliseconds int) { s.send("retry: %d\n\n", milliseconds) }

func (s *sender) send(format string, values ...any) {
	if s.err != nil {
		return
	}
	if s.err = s.controller.SetWriteDeadline(time.Now().Add(writeTimeout)); s.err != nil {
		return
	}
	if _, s.err = fmt.Fprintf(s.w, format, values...); s.err != nil {
		return
	}
	s.err = s.controller.Flush()
}

// dataLines puts "data: " before each line but the first, because a line break
// ends a field of the stream.
func dataLines(html string) string {
	return strings.ReplaceAll(strings.ReplaceAll(html, "\r", ""), "\n", "\ndata: ")
}
