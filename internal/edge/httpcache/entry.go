package httpcache

import (
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"slipway/internal/edge/coding"
)

// entry is a stored response. Once it is made, only expired changes: an update makes
// another one that shares the body.
type entry struct {
	status int
	fields []field // what is sent with every use: all but Age and the cache's own
	body   body

	selectors []selector
	query     string // as requested; matters where the rule of the path is not the response's own
	rule      *searchRule
	language  string // of the content, in lower case; empty without one
	etag      string
	modified  string
	part      *part // what the body is of the whole; nil for all of it

	requested, received  time.Time
	generated            time.Time
	initialAge, lifetime time.Duration
	staleWhileRevalidate delta
	staleIfError         delta
	noCache              bool // validated before each use
	neverStale           bool // must-revalidate or proxy-revalidate
	shared               bool // s-maxage
	forEveryone          bool // public in Cache-Control, so that no cookie matters

	tags   []string
	label  string
	weight int // in bytes

	expired atomic.Bool // by Expire
}

// field is one field of a stored header. Its values are clipped, so that to append
// to them in a header they were copied to does not change the entry.
type field struct {
	name   string
	values []string
}

// body is the content of a stored response, as the handler sent it.
type body struct {
	identity []byte
	variants *variants // nil for a body that is not compressed
}

func (b body) size() int { return len(b.identity) }

// newEntry makes an entry of a complete response. The answer's header is taken
// over.
func newEntry(a *answer, content []byte, request *http.Request, rule *searchRule) *entry {
	header := a.header
	removeConnectionFields(header)
	for _, name := range slices.Concat(a.directives.noCacheFields, a.directives.privateFields) {
		delete(header, name)
	}
	if _, valid := parseDate(header.Get("Date")); !valid {
		header.Set("Date", a.received.UTC().Format(http.TimeFormat))
	}
	if a.status != http.StatusNoContent {
		header.Set("Content-Length", strconv.Itoa(len(content)))
		if _, has := header["Content-Type"]; !has && len(content) > 0 && header.Get("Content-Encoding") == "" {
			header.Set("Content-Type", http.DetectContentType(content))
		}
	}
	names, _ := varyNames(header)
	lifetime, _ := a.lifetime()
	e := &entry{
		status: a.status, body: body{identity: content},
		selectors: selectors(names, request.Header), query: request.URL.RawQuery, rule: rule,
		language: strings.ToLower(strings.TrimSpace(header.Get("Content-Language"))),
		etag:     header.Get("Etag"), modified: header.Get("Last-Modified"),
		requested: a.requested, received: a.received, generated: a.generated(),
		initialAge: a.initialAge(), lifetime: lifetime,
		staleWhileRevalidate: a.directives.staleWhileRevalidate, staleIfError: a.directives.staleIfError,
		noCache: a.directives.noCache, neverStale: a.directives.mustRevalidate || a.directives.proxyRevalidate,
		shared: a.directives.sharedMaxAge.given(), forEveryone: a.forEveryone(),
		tags: responseTags(header),
	}
	if a.status == http.StatusOK && len(content) >= coding.MinSize && coding.Eligible(header) {
		coding.AddVary(header)
		e.body.variants = &variants{ofPage: coding.IsPage(header)}
	}
	e.setFields(header)
	return e
}

// updated is the entry with the fields of a 304, or of a response to HEAD, that
// validates it (RFC 9111 section 3.2). It also says why it must not be stored any
// more, if so.
func (e *entry) updated(a *answer, request *http.Request, policy Policy) (_ *entry, refusal string) {
	header := e.header()
	delete(header, "Date")
	for name, values := range a.header {
		if !describesContent(name) {
			header[name] = values
		}
	}
	merged := newAnswer(e.status, header, request, a.requested, a.received)
	merged.heed(a.heeded)
	refusal = merged.refusal(policy)
	updated := newEntry(merged, e.body.identity, request, e.rule)
	updated.part, updated.label = e.part, e.label
	updated.addTags(e.tags)
	if updated.body.variants != nil && e.body.variants != nil && updated.etag == e.etag {
		updated.body = e.body
	}
	return updated, refusal
}

func (e *entry) hasTag(tags []string) bool {
	return slices.ContainsFunc(tags, func(tag string) bool { return slices.Contains(e.tags, tag) })
}

// addTags is used before the entry is stored.
func (e *entry) addTags(tags []string) {
	e.tags = slices.Concat(e.tags, tags)
	slices.Sort(e.tags)
	e.tags = slices.Compact(e.tags)
}

// header is a copy of the stored header.
func (e *entry) header() http.Header {
	header := make(http.Header, len(e.fields))
	for _, one := range e.fields {
		header[one.name] = slices.Clone(one.values)
	}
	return header
}

func (e *entry) lastModified() (time.Time, bool) { return parseDate(e.modified) }

// shareable reports whether one response serves several requests, so that it is
// worth waiting for.
func (e *entry) shareable() bool { return !e.noCache && e.lifetime > 0 }

// Private

// entryOverhead is roughly what an entry takes beside its texts and body, in bytes.
const entryOverhead = 512

func (e *entry) setFields(header http.Header) {
	e.weight = entryOverhead + e.body.weight() + len(e.query)
	for name, values := range header {
		if name == "Age" {
			continue
		}
		e.fields = append(e.fields, field{name, slices.Clip(slices.Clone(values))})
		e.weight += len(name) + 40
		for _, value := range values {
			e.weight += len(value) + 16
		}
	}
	for _, one := range e.selectors {
		e.weight += len(one.name) + len(one.value) + 32
	}
}

// describesContent reports whether a field belongs to the stored body (or to one client), so that a
// 304 does not change it.
func describesContent(name string) bool {
	switch name {
	case "Content-Length", "Content-Encoding", "Content-Range", "Transfer-Encoding", "Set-Cookie":
		return true
	}
	return false
}

// removeConnectionFields removes the fields that are about one connection or one
// proxy (RFC 9111 section 3.1).
func removeConnectionFields(header http.Header) {
	for _, line := range header["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			delete(header, textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)))
		}
	}
	for _, name := range connectionFields {
		delete(header, name)
	}
}

var connectionFields = []string{
	"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
}
