package assets

import (
	"net/http"
	"strings"
)

// NotModified reports whether the client of a GET or HEAD has the content with this
// ETag already, so that 304 is the answer. It compares by RFC 9110, section 13.1.2:
// with * or any ETag of the list, weak or strong, in all lines of If-None-Match.
func NotModified(r *http.Request, tag string) bool {
	for _, list := range r.Header.Values("If-None-Match") {
		for {
			list = strings.TrimLeft(list, " \t,")
			if strings.HasPrefix(list, "*") {
				return true
			}
			known, rest, ok := cutTag(list)
			if !ok {
				break
			}
			if known == tag {
				return true
			}
			list = rest
		}
	}
	return false
}

// Private

// cutTag returns the ETag at the beginning of a list, without the mark of a weak
// one. The text between its quotes may hold commas.
func cutTag(list string) (tag, rest string, ok bool) {
	list = strings.TrimPrefix(list, "W/")
	if !strings.HasPrefix(list, `"`) {
		return "", "", false
	}
	end := strings.IndexByte(list[1:], '"')
	if end < 0 {
		return "", "", false
	}
	return list[:end+2], list[end+2:], true
}
