package httpcache

import (
	"net/http"
	"strconv"
)

// part is what a stored body is of the whole one (RFC 9111 section 3.3).
type part struct {
	byteRange
	size int64 // of the whole
}

// covers reports whether the stored response has all that a request wants.
func (e *entry) covers(r *http.Request) bool {
	if e.part == nil {
		return true
	}
	lines := r.Header["Range"]
	wanted, what := parseRange(lines, e.part.size)
	return r.Method == http.MethodGet && what == partOfBody && r.Header.Get("If-Range") == "" &&
		wanted.first >= e.part.first && wanted.last <= e.part.last
}

// completable is the beginning of a body to which the rest can be added: one with
// a strong tag, because only that tells that both are of one body (RFC 9110 section
// 15.3.7.3). It is nil for anything else.
func completable(e *entry) *entry {
	if e == nil || e.part == nil || e.part.first != 0 || !strong(e.etag) {
		return nil
	}
	return e
}

// askRest makes a request want what the stored part lacks.
func (e *entry) askRest(request http.Header) {
	request.Set("Range", "bytes="+strconv.FormatInt(e.part.last+1, 10)+"-")
	request.Set("If-Range", e.etag)
}

// continuedBy reports whether a response is the rest of the stored part.
func (e *entry) continuedBy(a *answer) bool {
	given, size, ok := parseContentRange(a.header.Get("Content-Range"))
	return a.status == http.StatusPartialContent && ok && a.header.Get("Etag") == e.etag &&
		given.first == e.part.last+1 && given.last == size-1 && size == e.part.size
}

// refusalOfPart says why a 206 is not stored. Only one range with a lifetime of its
// own is.
func (a *answer) refusalOfPart(request *http.Request, policy Policy) string {
	whole := *a
	whole.status = http.StatusOK
	life, explicit := whole.lifetime()
	if _, _, ok := parseContentRange(a.header.Get("Content-Range")); !ok || len(request.Header["Range"]) != 1 || !explicit || life <= 0 {
		return "status"
	}
	return whole.refusal(policy)
}
