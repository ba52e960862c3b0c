package assets

import (
	"net/http"
	"strings"

	"slipway/internal/edge/coding"
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
			known, rest, ok := coding.CutTag(list)
			if !ok {
				break
			}
			if strings.TrimPrefix(known, "W/") == tag {
				return true
			}
			list = rest
		}
	}
	return false
}
