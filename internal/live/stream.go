package live

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
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

// Subscription is what one page follows.
type Subscription struct {
	Topics  []string
	Opening []string // fragments that the stream begins with

	// Outlive is called when the handler returns before the stream ends. It returns a
	// function, which is called at the end with the bytes sent since. Nil: the handler
	// waits for the end of the stream. That takes three times the memory.
	Outlive func() (ended func(bytes int64))
}

// Serve streams events to one page until the page leaves, the lifetime of the stream is
// over, or the hub is closed. When the hub is full it replies 503. With
// Subscription.Outlive, and in HTTP/1.1, the stream goes on after Serve has returned.
//
// A page that reconnects names the last event it saw, in Last-Event-ID or in the query
// as since=NUMBER, and gets the events that it missed. When those are unknown it gets
// the event "resync", and must reload itself. Then comes the event "live", or "degraded"
// while Redis is unavailable: until "live" or "resync" the page must poll for changes.
// See WHATWG HTML, server-sent events.
func (h *Hub) Serve(w http.ResponseWriter, r *http.Request, page Subscription) {
	s := newStream(page.Topics)
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
	first.resync = reconnects && !first.complete

	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Accel-Buffering", "no")
	outlives := page.Outlive != nil && r.ProtoMajor == 1 && r.ProtoMinor == 1 // then chunks are certain
	if outlives {
		w.Header().Set("Connection", "close")
	}
	out := &response{w, http.NewResponseController(w)}
	if err := out.send(h.opening(s, page, first)); err != nil {
		h.leave(s)
		return
	}
	if outlives {
		h.outliving.Add(1)
		if taken, err := takeOver(out.controller); err == nil {
			go h.outlive(s, taken, page.Outlive())
			return
		}
		h.outliving.Done()
	}
	defer h.leave(s)
	h.run(s, out, r.Context().Done())
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

// opening is what a stream sends first.
func (h *Hub) opening(s *stream, page Subscription, first catchUp) frame {
	// After a crash browsers reconnect within one to three seconds, not all at once.
	text := appendRetry(nil, 1000+rand.IntN(2000))
	for _, html := range page.Opening {
		text = appendFragment(text, 0, html)
	}
	if first.resync {
		text = appendStatus(text, statusResync)
	}
	for _, e := range first.missed {
		text = append(text, e.frame.text()...)
	}
	text = appendStatus(text, first.status)
	return newFrame(appendMark(text, h.seenBy(s)))
}

// outlive sends a stream whose handler has returned.
func (h *Hub) outlive(s *stream, out *connection, ended func(int64)) {
	defer h.outliving.Done()
	var watching sync.WaitGroup
	watching.Go(out.watch)
	h.run(s, out, out.left)
	out.finish()
	watching.Wait()
	h.leave(s)
	ended(out.sent)
}

// run sends a stream until it ends, or the browser has left.
func (h *Hub) run(s *stream, out outlet, left <-chan struct{}) {
	end := time.Now().Add(h.options.Lifetime*8/10 + rand.N(h.options.Lifetime*2/10))
	heartbeat := time.NewTimer(min(heartbeatInterval, time.Until(end)))
	defer heartbeat.Stop()
	for {
		next, last := frame{}, false
		select {
		case e := <-s.events:
			next = e.frame
			if e.status != "" {
				next = newFrame(appendMark(appendStatus(nil, e.status), h.seenBy(s)))
			}
		case <-heartbeat.C:
			text := appendMark(nil, h.seenBy(s))
			if last = !time.Now().Before(end); last {
				text = appendRetry(text, 20+rand.IntN(80)) // a planned end: the browser reconnects at once
			}
			next = newFrame(text)
			heartbeat.Reset(min(heartbeatInterval, time.Until(end)))
		case <-s.ended:
			next, last = newFrame(appendRetry(appendMark(nil, h.seenBy(s)), 100+rand.IntN(900))), true
		case <-left:
			return
		}
		if err := out.send(next); err != nil || last {
			return
		}
	}
}
