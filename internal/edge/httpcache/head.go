package httpcache

import (
	"net/http"
	"strconv"
)

// updateByHead updates a stored response by one to HEAD, or removes it when the
// response tells that it has changed (RFC 9111 section 4.3.5).
func (c *Cache) updateByHead(asked *inquiry, stored *entry, a *answer) {
	if a.status != http.StatusOK || stored.status != http.StatusOK {
		return
	}
	if !agrees(a.header.Get("Etag"), stored.etag) || !agrees(a.header.Get("Last-Modified"), stored.modified) ||
		!agrees(a.header.Get("Content-Length"), strconv.Itoa(stored.body.size())) {
		c.store.drop(asked.key, stored)
		return
	}
	updated, refusal := stored.updated(a, asked.request, c.options.Policy)
	if refusal != "" {
		c.store.drop(asked.key, stored)
		return
	}
	led := c.flights.alone(asked.key)
	defer c.flights.end(led)
	c.keep(led, asked, updated)
}

// Private

// agrees reports whether a field of the new response does not contradict the
// stored one.
func agrees(received, stored string) bool { return received == "" || received == stored }
