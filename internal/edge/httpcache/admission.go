package httpcache

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Policy chooses which responses are stored.
type Policy int

const (
	// OptIn stores a response only when it says public, s-maxage or
	// CDN-Cache-Control, so that a page whose handler forgets private does not leak.
	OptIn Policy = iota
	// RFC9111 stores everything that the RFC lets a shared cache store: with plain
	// max-age or Expires, with a guessed lifetime, or with a validator alone.
	RFC9111
)

// answer is a final response of the handler before it is stored.
type answer struct {
	status     int
	header     http.Header
	directives directives
	targeted   bool // the directives are those of CDN-Cache-Control or of a Handle, which replace Cache-Control and Expires
	heeded     *Handle
	authorized bool // the request has Authorization
	requested  time.Time
	received   time.Time
}

func newAnswer(status int, header http.Header, request *http.Request, requested, received time.Time) *answer {
	a := &answer{
		status: status, header: header, authorized: len(request.Header["Authorization"]) > 0,
		requested: requested, received: received,
	}
	a.directives, a.targeted = responseDirectives(header)
	return a
}

// heed replaces the directives by what the handler said to the Handle.
func (a *answer) heed(h *Handle) {
	if h == nil || h.lifetimes == nil || a.status != http.StatusOK && a.status != http.StatusNotModified {
		return
	}
	a.heeded = h
	a.directives, a.targeted = noDirectives, true
	a.directives.maxAge = delta(h.lifetimes.fresh)
	if h.lifetimes.whileRenewed > 0 {
		a.directives.staleWhileRevalidate = delta(h.lifetimes.whileRenewed)
	}
}

// forEveryone reports whether Cache-Control itself says that the response is the same
// for everyone, also for an identified visitor.
func (a *answer) forEveryone() bool { return a.directives.public && !a.targeted && !a.authorized }

// refusal says why the response is not stored, in a word or two for Cache-Status.
// It is empty for a response that is stored (RFC 9111 section 3).
func (a *answer) refusal(policy Policy) string {
	d := &a.directives
	understood := d.mustUnderstand && understoodStatus(a.status)
	_, varies := varyNames(a.header)
	switch {
	case a.status < 200, a.status == http.StatusNotModified, a.status == http.StatusPartialContent:
		return "status"
	case len(a.header["Set-Cookie"]) > 0:
		return "set-cookie"
	case d.mustUnderstand && !understoodStatus(a.status):
		return "must-understand"
	case d.noStore && !understood:
		return "no-store"
	case d.private:
		return "private"
	case varies:
		return "vary"
	case len(a.header["Trailer"]) > 0:
		return "trailer"
	case isEventStream(a.header):
		return "event-stream"
	case a.authorized && !d.public && !d.mustRevalidate && !d.sharedMaxAge.given():
		return "authorization"
	case policy == OptIn && !d.public && !d.sharedMaxAge.given() && !a.targeted:
		return "not-public"
	case policy == OptIn && !optInStatus(a.status):
		return "status"
	}
	return a.useless()
}

// useless says why it is no use to store a response that could be stored.
func (a *answer) useless() string {
	life, explicit := a.lifetime()
	validator := a.header.Get("Etag") != "" || a.header.Get("Last-Modified") != ""
	d := &a.directives
	switch {
	case !explicit && !d.public && !heuristicStatus(a.status):
		return "no-freshness"
	case d.noCache && !validator:
		return "no-cache"
	case life <= 0 && !validator && !d.staleWhileRevalidate.given() && !d.staleIfError.given():
		return "no-freshness"
	}
	return ""
}

// Private

// responseDirectives are those of CDN-Cache-Control where it is valid and not
// empty (RFC 9213 section 2.1), otherwise those of Cache-Control.
func responseDirectives(header http.Header) (_ directives, targeted bool) {
	if lines := header["Cdn-Cache-Control"]; len(lines) > 0 {
		if members, err := parseDictionary(lines); err == nil && len(members) > 0 {
			return targetedDirectives(members), true
		}
	}
	return parseDirectives(header["Cache-Control"]), false
}

// targetedDirectives are those of a dictionary. A value of another type than its
// directive has is ignored.
func targetedDirectives(members []member) directives {
	parsed := noDirectives
	for _, one := range members {
		switch value := one.value.(type) {
		case bool:
			if value && !durationDirective(one.name) {
				parsed.set(one.name, "", false)
			}
		case int64:
			if durationDirective(one.name) {
				parsed.set(one.name, strconv.FormatInt(value, 10), false)
			}
		case string:
			if one.name == "no-cache" || one.name == "private" {
				parsed.set(one.name, value, true)
			}
		}
	}
	return parsed
}

func durationDirective(name string) bool {
	switch name {
	case "max-age", "s-maxage", "stale-while-revalidate", "stale-if-error":
		return true
	}
	return false
}

// understoodStatus reports whether the cache knows what a status demands of it,
// for must-understand (RFC 9111 section 5.2.2.3).
func understoodStatus(status int) bool {
	return http.StatusText(status) != ""
}

// optInStatus excludes errors of the server under OptIn: the handler of a public
// page may have set its Cache-Control before it failed.
func optInStatus(status int) bool { return status < 500 }

func isEventStream(header http.Header) bool {
	kind, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	return strings.EqualFold(kind, "text/event-stream")
}
