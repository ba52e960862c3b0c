package httpcache

import (
	"encoding/binary"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxKey is the length of the longest key, in bytes. Requests with a longer one
// bypass the cache.
const maxKey = 4096

// inquiry is a safe request (GET or HEAD) as the cache sees it.
type inquiry struct {
	request    *http.Request
	directives directives
	received   time.Time
	key        string
	rule       *searchRule // of the path, by which the key was made; nil without one
	reason     string      // why the handler is asked: fwd in Cache-Status
	personal   bool        // of an identified visitor, for whom alone its response is
}

// appendPart appends a part of a key after its length, so that two different lists
// of parts never make one key.
func appendPart(key []byte, part string) []byte {
	key = binary.AppendUvarint(key, uint64(len(part)))
	return append(key, part...)
}

// originKey is the beginning of the keys of one origin: the partition of the
// request (by default its scheme) and its host.
func (c *Cache) originKey(key []byte, r *http.Request) []byte {
	return appendPart(appendPart(key, c.options.Partition(r)), strings.ToLower(r.Host))
}

// pathKey is the beginning of the keys of one path. The path is not decoded: two
// ways to write one path are two keys.
func pathKey(origin []byte, address *url.URL) []byte {
	return appendPart(origin, address.EscapedPath())
}

// keyOf is the key of an address at the origin of a request, and the rule of its
// path. It reports false for a key that is too long.
func (c *Cache) keyOf(r *http.Request, address *url.URL) (string, *searchRule, bool) {
	var buffer [512]byte
	path := pathKey(c.originKey(buffer[:0], r), address)
	if len(path)+len(address.RawQuery) > maxKey {
		return "", nil, false
	}
	query := address.RawQuery
	var rule *searchRule
	if query != "" {
		rule = c.store.rule(string(path))
		query = rule.canonical(query)
	}
	return string(appendPart(path, query)), rule, true
}

// Private

// scheme is the default partition.
func scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}
