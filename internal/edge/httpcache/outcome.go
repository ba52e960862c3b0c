package httpcache

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// result is how a request ended for the cache.
type result int

const (
	hit      result = iota // from the store, fresh or just validated
	miss                   // from the handler
	stale                  // from the store, stale
	bypassed               // from the handler, the store was not touched
)

// outcome is what Cache-Status tells of a response (RFC 9211).
type outcome struct {
	result    result
	reason    string // why the request went to the handler: fwd
	status    int    // of the handler's response, where it is not the one that is sent: fwd-status
	stored    bool
	collapsed bool   // the request waited for the fill of another one
	detail    string // why a response was not stored

	replacesError bool // a stored response is served in place of an error of the handler
}

// Served is a response from the store.
type Served struct {
	Request *http.Request
	Label   string // of Handle.Label
	Status  int
	Bytes   int // of the body, as it is sent
	Stale   bool
	Took    time.Duration
}

// Stats are counts since the cache was made, and its size now.
type Stats struct {
	Hits, Misses, Stale, Bypasses int64 // requests
	Evictions                     int64 // keys that made room for others
	Keys                          int   // now
	Bytes                         int64 // now
}

// Stats returns the counts.
func (c *Cache) Stats() Stats {
	return Stats{
		Hits: c.counts[hit].Load(), Misses: c.counts[miss].Load(), Stale: c.counts[stale].Load(), Bypasses: c.counts[bypassed].Load(),
		Evictions: c.store.evictions.Load(), Keys: c.store.responses.EstimatedSize(), Bytes: int64(c.store.responses.WeightedSize()),
	}
}

// Private

type counts [bypassed + 1]atomic.Int64

// xCache are the values of X-Cache. They are shared by all responses.
var xCache = [...][]string{hit: {"hit"}, miss: {"miss"}, stale: {"stale"}, bypassed: {"bypass"}}

// announce counts an outcome and writes it to the header. left is the freshness
// lifetime that is left.
func (c *Cache) announce(header http.Header, how outcome, left time.Duration) {
	c.counts[how.result].Add(1)
	header["X-Cache"] = xCache[how.result][:1:1]
	var buffer [96]byte
	text := append(buffer[:0], c.options.Name...)
	switch how.result {
	case hit, stale:
		if how.reason == "" {
			text = append(text, "; hit"...)
		}
		if how.status == 0 {
			text = append(text, "; ttl="...)
			text = strconv.AppendInt(text, int64(left/time.Second), 10)
		}
	}
	if how.reason != "" {
		text = append(append(text, "; fwd="...), how.reason...)
	}
	if how.status != 0 {
		text = strconv.AppendInt(append(text, "; fwd-status="...), int64(how.status), 10)
	}
	if how.stored {
		text = append(text, "; stored"...)
	}
	if how.collapsed {
		text = append(text, "; collapsed"...)
	}
	if how.detail != "" {
		text = append(append(text, "; detail="...), how.detail...)
	}
	if c.options.ServerTiming {
		header.Add("Server-Timing", `cache;desc="`+string(text)+`"`)
	}
	header["Cache-Status"] = append(header["Cache-Status"][:len(header["Cache-Status"]):len(header["Cache-Status"])], string(text))
}

// reasonOf is the fwd of a request that goes to the handler.
func reasonOf(asked *inquiry, stored *entry, others bool) string {
	switch {
	case stored != nil && (asked.directives.noCache || asked.directives.maxAge.given()):
		return "request"
	case stored != nil:
		return "stale"
	case others:
		return "vary-miss"
	}
	return "uri-miss"
}

// tell tells Options.Served of a response that the handler did not make.
func (c *Cache) tell(asked *inquiry, e *entry, how outcome, status, bytes int) {
	if c.options.Served == nil || how.result == miss {
		return
	}
	c.options.Served(Served{
		Request: asked.request, Label: e.label, Status: status, Bytes: bytes, Stale: how.result == stale,
		Took: c.options.Now().Sub(asked.received),
	})
}

// bypass lets the handler answer without the store.
func (c *Cache) bypass(w http.ResponseWriter, r *http.Request, detail string) {
	reason := "bypass"
	if detail == "method" {
		reason, detail = "method", ""
	}
	c.announce(w.Header(), outcome{result: bypassed, reason: reason, detail: detail}, 0)
	c.next.ServeHTTP(w, r)
}

// refuseUncached answers a request that only wants a stored response (RFC 9111
// section 5.2.1.7).
func (c *Cache) refuseUncached(w http.ResponseWriter) {
	c.announce(w.Header(), outcome{result: miss, detail: "only-if-cached"}, 0)
	w.Header().Set("Cache-Control", "no-store")
	http.Error(w, "The response is not in the cache.", http.StatusGatewayTimeout)
}

// failures remembers which keys had an error replaced by a stale response, so that
// while a handler fails slowly only one request in a while waits for it.
type failures struct {
	mutex sync.Mutex
	until map[string]time.Time
}

const (
	retryFailedAfter = time.Second
	maxFailures      = 4096 // keys
)

func (f *failures) note(key string, now time.Time) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.until == nil || len(f.until) >= maxFailures {
		f.until = map[string]time.Time{}
	}
	f.until[key] = now.Add(retryFailedAfter)
}

func (f *failures) lately(key string, now time.Time) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return now.Before(f.until[key])
}
