package httpcache

import (
	"net/http"
	"net/url"
	"strings"
)

// serveUnsafe passes on a request that may change something. Its success
// invalidates what is stored for the same address, and for those that the response
// names (RFC 9111 section 4.4).
func (c *Cache) serveUnsafe(w http.ResponseWriter, r *http.Request) {
	asked := &inquiry{request: r, directives: noDirectives, reason: "method"}
	if r.Method == http.MethodPost && !c.private(r) && !requestDirectives(r.Header).noStore {
		asked.key, asked.rule, _ = c.keyOf(r, r.URL)
	}
	fill := &fill{cache: c, asked: asked, w: &invalidator{ResponseWriter: w, cache: c, request: r}, led: c.flights.alone(asked.key)}
	fill.run()
}

// Private

// invalidator invalidates before the client can know of the change.
type invalidator struct {
	http.ResponseWriter
	cache   *Cache
	request *http.Request
	done    bool
}

func (i *invalidator) WriteHeader(status int) {
	if status >= 200 {
		i.invalidate(status, i.Header())
	}
	i.ResponseWriter.WriteHeader(status)
}

func (i *invalidator) invalidate(status int, header http.Header) {
	if !i.done && status < 400 {
		i.cache.invalidate(i.request, status, header)
	}
	i.done = true
}

func (i *invalidator) Unwrap() http.ResponseWriter { return i.ResponseWriter }

// invalidate removes what a successful response to an unsafe request makes
// doubtful: the address itself, Content-Location, Location of a 2xx, all of the
// same origin, and the groups in Cache-Group-Invalidation (RFC 9875 section 3).
// The Location of a redirect is only where to go next: to invalidate it would empty
// the cache of the pages that forms lead to.
func (c *Cache) invalidate(r *http.Request, status int, header http.Header) {
	addresses := []*url.URL{r.URL}
	for _, name := range []string{"Location", "Content-Location"} {
		if name == "Location" && status >= 300 {
			continue
		}
		if address := sameOrigin(r, header.Get(name)); address != nil {
			addresses = append(addresses, address)
		}
	}
	for _, address := range addresses {
		if key, _, ok := c.keyOf(r, address); ok {
			c.purgeKey(key)
		}
	}
	if groups := groupsOf(header["Cache-Group-Invalidation"]); len(groups) > 0 {
		c.purge(string(c.originKey(nil, r)), groups)
	}
}

// sameOrigin resolves a reference against the address of a request. It is nil for
// an empty or invalid one and for one of another origin.
func sameOrigin(r *http.Request, reference string) *url.URL {
	if reference == "" {
		return nil
	}
	base := *r.URL
	base.Host = r.Host
	if base.Scheme == "" {
		base.Scheme = scheme(r)
	}
	address, err := base.Parse(reference)
	if err != nil || address.Scheme != base.Scheme || !strings.EqualFold(address.Host, base.Host) {
		return nil
	}
	return address
}

// answersGet reports whether the response to a POST is what a GET of its address
// would be answered with: it says so by Content-Location, and how long it stays
// fresh (RFC 9110 section 9.3.3).
func (f *fill) answersGet() bool {
	r := f.asked.request
	_, explicit := f.answer.lifetime()
	address := sameOrigin(r, f.answer.header.Get("Content-Location"))
	return f.answer.status == http.StatusOK && explicit && address != nil &&
		address.EscapedPath() == r.URL.EscapedPath() && address.RawQuery == r.URL.RawQuery
}
