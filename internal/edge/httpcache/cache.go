// Package httpcache is a shared HTTP cache in front of a handler, by RFC 9111. It
// stores whole responses in memory, answers conditional and range requests from
// them, lets one request ask the handler for many, and serves a stale response
// while it is refreshed or while the handler fails (RFC 5861).
package httpcache

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slipway/internal/edge/coding"
)

// Options configure a cache. The zero value of each has the default it names.
type Options struct {
	Name        string // of this cache in Cache-Status, a token; default "edge"
	Size        int64  // of all stored responses, in bytes; default 64 MiB
	MaxItemSize int64  // of one stored body, in bytes; default 1 MiB. A larger response is passed on as it comes
	Policy      Policy // which responses are stored; default OptIn
	// PrivateCookies are the names of cookies that identify a visitor, such as
	// a session, without the prefixes __Host- and __Secure-, which count as the same
	// cookie (RFC 6265bis, section 4.1.3). A request with one of them is asked of the handler, and its response
	// is not stored, unless Cache-Control says public: then it is the same for
	// everyone. What is stored for others only replaces an error of the handler. The
	// same holds for Authorization under OptIn. Default none.
	PrivateCookies []string
	// Bypass sends a request to the handler without the store, such as one of a client
	// that the handler refuses. Default none.
	Bypass func(*http.Request) bool
	// Partition is the part of the key that separates requests of one host and path
	// that never share a response. Default the scheme of the connection, "http" or
	// "https".
	Partition    func(*http.Request) string
	FillTimeout  time.Duration // of a handler whose response may be stored; default 15 s
	StaleIfError time.Duration // for which a stale response that says nothing of it replaces an error; default none
	Refreshes    int           // in the background at once; more are left out; default 8
	// Amend changes a copy of the header and the body of a stored response that is
	// served in place of an error. Default none.
	Amend func(header http.Header, body []byte) []byte
	// Dictionary compresses the stored pages (text/html) that go to clients that have it.
	// Default none.
	Dictionary *coding.Dictionary
	// ServerTiming also tells browsers what Cache-Status says, for scripts and for their
	// developer tools.
	ServerTiming bool
	// Served is told of each response that comes from the store. Default none.
	Served func(Served)
	Now    func() time.Time
	Log    *slog.Logger // default discards
}

// Cache is the handler. It must be closed.
type Cache struct {
	options Options
	next    http.Handler
	store   *store
	flights *flights
	counts  counts
	failing failures

	trustedSince atomic.Int64 // in Unix nanoseconds; see Distrust

	refreshes chan struct{} // one token for each refresh in progress
	open      context.Context
	shut      context.CancelFunc
	mutex     sync.Mutex // guards the beginning of a refresh against Close
	running   sync.WaitGroup
}

// New returns a cache in front of next.
func New(options Options, next http.Handler) *Cache {
	options.setDefaults()
	c := &Cache{
		options: options, next: next, store: newStore(options.Size, options.MaxItemSize), flights: newFlights(),
		refreshes: make(chan struct{}, options.Refreshes),
	}
	c.open, c.shut = context.WithCancel(context.Background())
	return c
}

// Close ends the refreshes in the background and waits for them.
func (c *Cache) Close() {
	c.mutex.Lock()
	c.shut()
	c.mutex.Unlock()
	c.running.Wait()
	c.store.close()
}

// ServeHTTP serves a request from the store where RFC 9111 allows it, and asks the
// handler otherwise. X-Cache of the response says hit, miss, stale or bypass;
// Cache-Status (RFC 9211) says why.
func (c *Cache) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions, http.MethodTrace, http.MethodConnect:
		c.bypass(w, r, "method")
		return
	default:
		c.serveUnsafe(w, r)
		return
	}
	asked := inquiry{request: r, directives: requestDirectives(r.Header), received: c.options.Now()}
	if reason := c.bypasses(r, &asked.directives); reason != "" {
		c.bypass(w, r, reason)
		return
	}
	var ok bool
	if asked.key, asked.rule, ok = c.keyOf(r, r.URL); !ok {
		c.bypass(w, r, "key")
		return
	}
	if c.private(r) {
		c.answerPersonally(w, &asked)
		return
	}
	c.answer(w, &asked)
}

// Private

func (o *Options) setDefaults() {
	if o.Name == "" {
		o.Name = "edge"
	}
	if o.Size == 0 {
		o.Size = 64 << 20
	}
	if o.MaxItemSize == 0 {
		o.MaxItemSize = 1 << 20
	}
	if o.Partition == nil {
		o.Partition = scheme
	}
	if o.FillTimeout == 0 {
		o.FillTimeout = 15 * time.Second
	}
	if o.Refreshes == 0 {
		o.Refreshes = 8
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
}

// bypasses says why the store must not be touched for a request; empty when it may.
func (c *Cache) bypasses(r *http.Request, asked *directives) string {
	switch {
	case c.options.Bypass != nil && c.options.Bypass(r):
		return "refused"
	case asked.noStore:
		return "no-store"
	case r.ContentLength != 0:
		return "content"
	case len(r.Header["Upgrade"]) > 0:
		return "upgrade"
	case len(r.Header["If-Match"]) > 0, len(r.Header["If-Unmodified-Since"]) > 0:
		return "precondition"
	}
	return ""
}

// private reports whether a request is of an identified visitor, so that its response
// may be meant for that visitor alone.
func (c *Cache) private(r *http.Request) bool {
	if c.options.Policy == OptIn && len(r.Header["Authorization"]) > 0 {
		return true
	}
	if len(c.options.PrivateCookies) == 0 {
		return false
	}
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(pair, "=")
			if slices.Contains(c.options.PrivateCookies, withoutPrefix(strings.TrimSpace(name))) {
				return true
			}
		}
	}
	return false
}

// withoutPrefix returns the name of a cookie without the prefix by which browsers
// protect it. They compare the prefix without regard to case.
func withoutPrefix(name string) string {
	for _, prefix := range []string{"__Host-", "__Secure-"} {
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			return name[len(prefix):]
		}
	}
	return name
}

// answer serves a request from the store or through a fill.
func (c *Cache) answer(w http.ResponseWriter, asked *inquiry) {
	now := asked.received
	stored, incomplete, others := c.find(asked)
	if stored != nil {
		switch c.judge(stored, now, asked) {
		case fresh:
			c.serve(w, asked, stored, outcome{result: hit})
			return
		case accepted:
			c.serve(w, asked, stored, outcome{result: stale})
			return
		case revalidate:
			c.refresh(asked, stored)
			c.serve(w, asked, stored, outcome{result: stale})
			return
		}
	}
	if asked.directives.onlyIfCached {
		c.refuseUncached(w)
		return
	}
	if stored != nil && c.failing.lately(asked.key, now) &&
		stored.servesInsteadOfError(now, &asked.directives, c.options.StaleIfError) {
		c.serve(w, asked, stored, outcome{result: stale, replacesError: true})
		return
	}
	asked.reason = reasonOf(asked, stored, others)
	c.fetch(w, asked, stored, incomplete)
}

// answerPersonally asks the handler for a response that is for this client alone. While the
// handler fails, a response that is stored for others replaces it.
func (c *Cache) answerPersonally(w http.ResponseWriter, asked *inquiry) {
	stored, _, _ := c.find(asked)
	if stored != nil && stored.forEveryone {
		c.answer(w, asked)
		return
	}
	asked.personal, asked.reason = true, "bypass"
	(&fill{cache: c, asked: asked, stored: stored, w: w, led: c.flights.alone(asked.key)}).run()
}

// find returns the response that a request selects, the newest if there are
// several, or a part of the body that is the beginning of it. It also reports
// whether the key has responses that other requests select.
func (c *Cache) find(asked *inquiry) (found, incomplete *entry, others bool) {
	for _, one := range c.store.entries(asked.key) {
		switch {
		case !one.matches(asked):
			others = true
		case one.covers(asked.request):
			return one, nil, others
		case incomplete == nil:
			incomplete = one
		}
	}
	return nil, incomplete, others
}

// matches reports whether the stored response is one for the request: by Vary and,
// where the rule of the path left something out of the key, by its own
// No-Vary-Search.
func (e *entry) matches(asked *inquiry) bool {
	sameQuery := e.query == asked.request.URL.RawQuery || e.rule != nil && e.rule.same(asked.rule)
	return sameQuery && e.selects(asked.request.Header)
}

// judge decides about a stored response, also by Expire and Distrust.
func (c *Cache) judge(stored *entry, now time.Time, asked *inquiry) verdict {
	if stored.expired.Load() || len(stored.tags) > 0 && stored.requested.UnixNano() < c.trustedSince.Load() {
		return validate
	}
	return stored.judge(now, &asked.directives)
}

// fetch asks the handler, or waits for another request that does.
func (c *Cache) fetch(w http.ResponseWriter, asked *inquiry, stored, incomplete *entry) {
	fill := &fill{cache: c, asked: asked, stored: stored, w: w}
	r := asked.request
	switch {
	case r.Method == http.MethodHead, stored == nil && len(r.Header["Range"]) > 0,
		stored != nil && !stored.shareable(), stored == nil && c.store.isUnshared(asked.key, c.options.Now()):
		fill.led = c.flights.alone(asked.key)
		fill.run()
		return
	}
	led, leads := c.flights.join(asked.key)
	if leads {
		if renewed, _, _ := c.find(asked); renewed != nil && renewed != stored && c.judge(renewed, asked.received, asked) == fresh {
			c.flights.release(led, renewed, false)
			c.flights.end(led)
			c.serve(w, asked, renewed, outcome{result: hit, collapsed: true})
			return
		}
		fill.led = led
		fill.rest = completable(incomplete)
		fill.run()
		return
	}
	select {
	case <-led.done:
	case <-r.Context().Done():
		return
	}
	if led.result != nil && led.result.matches(asked) && led.result.covers(r) {
		result := hit
		if led.stale {
			result = stale
		}
		c.serve(w, asked, led.result, outcome{result: result, collapsed: true, replacesError: led.stale})
		return
	}
	fill.stored, _, _ = c.find(asked)
	if fill.stored != nil && c.judge(fill.stored, c.options.Now(), asked) == fresh {
		c.serve(w, asked, fill.stored, outcome{result: hit, collapsed: true})
		return
	}
	fill.led = c.flights.alone(asked.key)
	fill.run()
}

// requestDirectives are those of a request. Pragma counts only without
// Cache-Control (RFC 9111 section 5.4).
func requestDirectives(header http.Header) directives {
	lines := header["Cache-Control"]
	if len(lines) == 0 {
		asked := noDirectives
		if pragma := header["Pragma"]; len(pragma) > 0 {
			asked.noCache = parseDirectives(pragma).noCache
		}
		return asked
	}
	return parseDirectives(lines)
}
