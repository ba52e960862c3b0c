package httpcache

import (
	"net/http"
	"strings"
)

// notModified reports whether the client that sends a request holds the stored
// response already (RFC 9110 section 13.2.2, RFC 9111 section 4.3.2).
func (e *entry) notModified(request http.Header) bool {
	if lines := request["If-None-Match"]; len(lines) > 0 {
		return matchesTag(lines, e.etag)
	}
	since := request["If-Modified-Since"]
	if len(since) != 1 || e.status != http.StatusOK {
		return false
	}
	until, ok := parseDate(since[0])
	if !ok {
		return false
	}
	modified, ok := e.lastModified()
	if !ok {
		modified = e.generated
	}
	return !modified.After(until)
}

// matchesTag reports whether a list of entity tags has the given one, compared
// weakly (RFC 9110 section 8.8.3.2), or is "*". A tag without quotes, which is
// against the RFC, only matches one without quotes.
func matchesTag(lines []string, tag string) bool {
	for _, line := range lines {
		for line = strings.Trim(line, " \t,"); line != ""; line = strings.TrimLeft(line, " \t,") {
			if line == "*" {
				return true
			}
			var one string
			one, line = cutTag(line)
			if tag != "" && opaque(one) == opaque(tag) {
				return true
			}
		}
	}
	return false
}

// rangeStillGood reports whether If-Range allows a part of the stored response:
// there is none, or it names the response by its strong tag or its exact date (RFC
// 9110 section 13.1.5).
func (e *entry) rangeStillGood(request http.Header) bool {
	condition := request.Get("If-Range")
	switch {
	case condition == "":
		return true
	case strings.HasPrefix(condition, `"`):
		return condition == e.etag
	}
	wanted, ok := parseDate(condition)
	modified, has := e.lastModified()
	return ok && has && wanted.Equal(modified)
}

// condition makes a request ask whether the stored response is still good, in
// place of what the client asked (RFC 9111 section 4.3.1).
func (e *entry) condition(request http.Header) {
	if e.etag != "" {
		request.Set("If-None-Match", e.etag)
	}
	if e.modified != "" {
		request.Set("If-Modified-Since", e.modified)
	}
}

// validatedBy reports whether a 304 is about this response: it names no other tag
// (RFC 9111 section 4.3.4).
func (e *entry) validatedBy(header http.Header) bool {
	tag := header.Get("Etag")
	return tag == "" || e.etag == "" || opaque(tag) == opaque(e.etag)
}

// Private

// conditions are the fields that make a request conditional.
var conditions = []string{"If-None-Match", "If-Modified-Since", "If-Range", "If-Match", "If-Unmodified-Since"}

// cutTag cuts the first entity tag off a list.
func cutTag(list string) (tag, rest string) {
	start := 0
	if strings.HasPrefix(list, "W/") {
		start = 2
	}
	if start < len(list) && list[start] == '"' {
		if end := strings.IndexByte(list[start+1:], '"'); end >= 0 {
			end += start + 2
			return list[:end], list[end:]
		}
	}
	if comma := strings.IndexByte(list, ','); comma >= 0 {
		return strings.TrimRight(list[:comma], " \t"), list[comma:]
	}
	return strings.TrimRight(list, " \t"), ""
}

// opaque is a tag without the mark of a weak one.
func opaque(tag string) string { return strings.TrimPrefix(tag, "W/") }

func strong(tag string) bool { return strings.HasPrefix(tag, `"`) }
