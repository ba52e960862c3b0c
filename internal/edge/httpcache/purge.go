package httpcache

import "math"

// Purge removes all responses that have one of the tags in Surrogate-Key or
// Cache-Groups. A response that a handler is making meanwhile is not stored if it
// has one. It returns how many keys lost their responses.
func (c *Cache) Purge(tags ...string) int { return c.purge("", tags) }

// PurgeAll removes all responses.
func (c *Cache) PurgeAll() {
	c.flights.purge(func(string) bool { return true }, nil)
	c.store.deleteAll()
}

// Expire makes the responses with one of the tags stale: the handler is asked for new
// ones, and they are only served when it fails. A response that a handler is making
// meanwhile is not stored if it has one. It returns how many responses expired.
func (c *Cache) Expire(tags ...string) int {
	c.flights.purge(func(string) bool { return false }, tags)
	expired := 0
	for _, key := range c.store.tags.having("", tags) {
		for _, one := range c.store.entries(key) {
			if one.hasTag(tags) && !one.expired.Swap(true) {
				expired++
			}
		}
	}
	return expired
}

// Distrust tells the cache whether calls of Expire and Purge may be missing. Responses
// with tags that were stored before they were complete again are stale.
func (c *Cache) Distrust(missing bool) {
	if missing {
		c.trustedSince.Store(math.MaxInt64)
		return
	}
	c.trustedSince.Store(c.options.Now().UnixNano())
}

// Private

// purge removes the responses with a tag whose key begins with prefix.
func (c *Cache) purge(prefix string, tags []string) int {
	c.flights.purge(func(string) bool { return false }, tags)
	purged := 0
	for _, key := range c.store.tags.having(prefix, tags) {
		if c.store.delete(key) {
			purged++
		}
	}
	return purged
}

func (c *Cache) purgeKey(key string) {
	c.flights.purge(func(other string) bool { return other == key }, nil)
	c.store.delete(key)
}
