package live

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// heartbeat keeps proxies from taking a quiet stream for a dead one: the usual
// ones wait for 30 to 60 seconds. It is also how a stream notices that its
// browser is gone, and how a browser learns how far it has seen.
const heartbeat = 10 * time.Second

// writeTimeout ends the stream of a browser that takes nothing any more.
const writeTimeout = 5 * time.Second

// StreamOptions say how streams behave.
type StreamOptions struct {
	Lifetime time.Duration // after which a stream ends and the browser opens the next
	Limit    int           // most streams open at once
}

// Serve streams the events of topics to one page until the page leaves, the
// stream has lived its time, or the hub closes. A page that comes back names
// the last event it saw (Last-Event-ID, or since=NUMBER in the query) and gets
// what it missed, or the event "resync" where that cannot be told: then it
// must fetch itself anew. Then comes the event "live", or "degraded" while
// Redis is away: until "live" or "resync" a page must ask for changes by itself.
// Every stream begins with the fragments of opening. See WHATWG HTML,
// server-sent events.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, topics []string, opening ...string) {
	s := &stream{topics: topics, events: make(chan event, 64), gone: make(chan struct{})}
	since, named := lastSeen(r)
	told, ok := h.join(s, since)
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
	// After an accident browsers come back spread over three seconds.
	out.retry(1000 + rand.IntN(2000))
	for _, html := range opening {
		out.fragment(html)
	}
	if named && !told.complete {
		out.tell(resync)
	}
	for _, e := range told.missed {
		out.event(e)
	}
	out.tell(told.news)
	out.mark(h.seenBy(s))

	life := time.NewTimer(h.options.Lifetime*8/10 + rand.N(h.options.Lifetime*2/10))
	defer life.Stop()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for out.err == nil {
		select {
		case e := <-s.events:
			if e.news != "" {
				out.tell(e.news)
				out.mark(h.seenBy(s))
				continue
			}
			out.event(e)
		case <-beat.C:
			out.mark(h.seenBy(s))
		case <-life.C:
			// Planned: the browser comes back at once and misses next to nothing.
			out.mark(h.seenBy(s))
			out.retry(20 + rand.IntN(80))
			return
		case <-s.gone:
			out.mark(h.seenBy(s))
			out.retry(100 + rand.IntN(900))
			return
		case <-r.Context().Done():
			return
		}
	}
}

// Private

// lastSeen is the number that the page names, and whether it names one.
func lastSeen(r *http.Request) (number int64, told bool) {
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

// sender writes the lines of an event stream and remembers the first failure.
type sender struct {
	w          http.ResponseWriter
	controller *http.ResponseController
	err        error
}

func (s *sender) event(e event) {
	s.send("id: %d\nevent: fragment\ndata: %s\n\n", e.number, dataLines(e.HTML))
}

// fragment sends one that is no event of the hub's, and so has no number.
func (s *sender) fragment(html string) {
	s.send("event: fragment\ndata: %s\n\n", dataLines(html))
}

func (s *sender) tell(n news) { s.send("event: %s\ndata: %s\n\n", n, n) }

// mark tells the browser how far it has seen, without an event. Where that is
// not known it only keeps the stream alive.
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

// dataLines gives each line of html a line of its own, because a line break
// ends the data.
func dataLines(html string) string {
	return strings.ReplaceAll(strings.ReplaceAll(html, "\r", ""), "\n", "\ndata: ")
}
