package coding

import (
	"net/http"
	"sync/atomic"
)

// MinSize is the smallest body that is compressed, in bytes. A smaller one fits in one
// packet as it is.
const MinSize = 1024

// Options configure a Handler.
type Options struct {
	// Jitter is the largest number of random bytes that hide the exact length of a
	// compressed body (see Never). 0 adds none.
	Jitter int
	// Encoders bounds the responses that are compressed at a time; others are sent as
	// they are. An encoder has 1.6 MB (zstd) or 1.2 MB (gzip). 0 means 32.
	Encoders int
	// Dictionary compresses the pages (text/html) of clients that have it, in DCZ, and
	// DictionaryPath is where others get it. Nil: none.
	Dictionary     *Dictionary
	DictionaryPath string
}

// Stats counts what a Handler has done since its start.
type Stats struct {
	Compressed uint64 // responses
	Busy       uint64 // responses that found no free encoder
	BytesIn    uint64 // of the compressed responses, before
	BytesOut   uint64 // and after
}

// Handler compresses the responses of another handler while they are written, in zstd
// or gzip, when their client accepts it, and pages in DCZ when it has the dictionary.
//
// It compresses only Eligible bodies from 1024 bytes, and not the responses to requests
// with Range, nor those with a trailer. A flush sends at once what was written. A
// response that panics, or is shorter than its Content-Length, ends without the end of
// its coding. HEAD gets the header of GET. ETags are per coding, and understood in
// If-None-Match and If-Match.
//
// Against BREACH, the response is also left as it is when its handler has called Never,
// and when another site may have made the browser send the request with a cookie or
// credentials, unless the response is public. Otherwise pages of signed-in visitors are
// compressed, because no page has a token against cross-site requests: their own
// requests cannot be repeated by an attacker. Set-Cookie does not matter, because the
// secret is in the header, not in the body.
type Handler struct {
	next     http.Handler
	jitter   int
	encoders encoders

	dictionary *Dictionary
	link       []string // tells browsers where the dictionary is

	compressed, busy, bytesIn, bytesOut atomic.Uint64
}

// New returns a Handler around next.
func New(options Options, next http.Handler) *Handler {
	if options.Encoders == 0 {
		options.Encoders = 32
	}
	return &Handler{
		next: next, jitter: options.Jitter, encoders: encoders{limit: int64(options.Encoders), dictionary: options.Dictionary},
		dictionary: options.Dictionary, link: []string{"<" + options.DictionaryPath + `>; rel="compression-dictionary"`},
	}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &writer{inner: w, handler: h, length: unknown, isHead: r.Method == http.MethodHead}
	if len(r.Header["Range"]) == 0 {
		out.coding = NegotiateBy(h.dictionary, r, ForLive)
		out.other = Negotiate(r.Header["Accept-Encoding"], ForLive)
	}
	if h.dictionary != nil && MayOffer(r) {
		out.offers = true
		out.linked = r.Header.Get("Sec-Fetch-Dest") == "document" && !h.dictionary.IsHeldBy(r)
	}
	out.forced = out.coding != Identity && isForced(r)
	r, out.aliases = withBaseTags(r)

	defer out.release()
	h.next.ServeHTTP(out, r)
	out.finish()
}

// Stats returns the counts so far.
func (h *Handler) Stats() Stats {
	return Stats{
		Compressed: h.compressed.Load(), Busy: h.busy.Load(),
		BytesIn: h.bytesIn.Load(), BytesOut: h.bytesOut.Load(),
	}
}
