// Package edge is what every request passes before the application: it gives the
// request an id, serves assets, compresses the response and caches it.
package edge

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/assets"
	"slipway/internal/edge/coding"
	"slipway/internal/edge/httpcache"
)

// RequestID is the header with the id of a request. The application finds it in the
// request, and the client in the response.
const RequestID = "X-Request-Id"

// Options configure an edge.
type Options struct {
	CacheSize      int64         // of all stored responses, in bytes; 0 or less stores none
	MaxItemSize    int64         // of one stored body, in bytes
	StaleIfError   time.Duration // for which a stored response that is not fresh replaces an error of the application
	PrivateCookies []string      // see httpcache.Options
	Policy         httpcache.Policy
	ServerTiming   bool // see httpcache.Options

	Assets      *assets.Assets // nil: none
	AssetHeader http.Header    // of each asset, for security; it must not change

	// Refuses reports whether the application refuses a client, so that the client
	// gets nothing from the cache either. It may be nil, and must be fast.
	Refuses func(*http.Request) bool
	// Amend and Served are those of httpcache.Options. Served is told of each asset too.
	Amend  func(header http.Header, body []byte) []byte
	Served func(httpcache.Served)

	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Edge is the handler. It must be closed.
type Edge struct {
	outermost http.Handler
	cache     *httpcache.Cache // nil when nothing is cached

	background sync.WaitGroup
	stop       context.CancelFunc // ends what runs in the background
}

// New returns the edge of an application: its layers, from the inside to the outside.
func New(options Options, app http.Handler) *Edge {
	e := &Edge{}
	handler := app
	if options.CacheSize > 0 {
		e.cache = newCache(options, handler)
		handler = e.cache
	}
	dictionary, dictionaryPath := options.Assets.PageDictionary()
	compressed := coding.New(coding.Options{Jitter: jitter, Dictionary: dictionary, DictionaryPath: dictionaryPath}, handler)
	assets := serveAssets(options, compressed)
	e.outermost = identify(newQueueTime(options.Registry), assets)

	options.Registry.MustRegister(&collector{e.cache, compressed})
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	e.background.Go(func() { options.Assets.FindDeltas(ctx) })
	return e
}

// ServeHTTP implements http.Handler.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) { e.outermost.ServeHTTP(w, r) }

// Close ends what goes on in the background, and waits for it.
func (e *Edge) Close() {
	e.stop()
	e.background.Wait()
	if e.cache != nil {
		e.cache.Close()
	}
}

// CachedBytes returns the size of all stored responses.
func (e *Edge) CachedBytes() int64 {
	if e.cache == nil {
		return 0
	}
	return e.cache.Stats().Bytes
}

// Expire makes the responses with one of the tags stale (see httpcache.Cache).
func (e *Edge) Expire(tags ...string) int {
	if e.cache == nil {
		return 0
	}
	return e.cache.Expire(tags...)
}

// Purge removes the responses with one of the tags.
func (e *Edge) Purge(tags ...string) int {
	if e.cache == nil {
		return 0
	}
	return e.cache.Purge(tags...)
}

// PurgeAll removes all responses.
func (e *Edge) PurgeAll() {
	if e.cache != nil {
		e.cache.PurgeAll()
	}
}

// Distrust tells the cache whether calls of Expire and Purge may be missing.
func (e *Edge) Distrust(missing bool) {
	if e.cache != nil {
		e.cache.Distrust(missing)
	}
}

// Private

// jitter is the largest number of bytes that hide the length of a compressed page, as
// many as in Thruster.
const jitter = 32

func newCache(options Options, app http.Handler) *httpcache.Cache {
	dictionary, _ := options.Assets.PageDictionary()
	return httpcache.New(httpcache.Options{
		Policy: options.Policy, Size: options.CacheSize, MaxItemSize: options.MaxItemSize, StaleIfError: options.StaleIfError,
		Dictionary: dictionary, PrivateCookies: options.PrivateCookies, Bypass: options.Refuses, Amend: options.Amend, Served: options.Served,
		ServerTiming: options.ServerTiming, Log: options.Log,
	}, app)
}

// identify gives request and response an id: the request's own when it has one and that
// is acceptable, else a new one. Logs and error pages show it. It also measures since when the request
// has waited.
func identify(queue queueTime, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(RequestID)
		if len(r.Header[RequestID]) > 1 || !isRequestID(id) {
			id = strings.ToLower(rand.Text())
			r.Header.Set(RequestID, id)
		}
		if r.Header[RequestStart] != nil {
			queue.measure(r.Header, time.Now())
		}
		w.Header().Set(RequestID, id)
		next.ServeHTTP(w, r)
	})
}

// isRequestID reports whether the request id of a proxy is accepted: it has 1 to 128
// letters, digits, dots, dashes and underscores. Others could forge lines in a log.
func isRequestID(id string) bool {
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return 1 <= len(id) && len(id) <= 128
}
