package httpcache

import (
	"context"
	"net/http"
	"slices"
	"time"
)

// copyEvery is how old a response becomes before a personal one lets a newer one be
// made for others.
const copyEvery = 10 * time.Second

// copy stores a response for others where the handler has offered one (see
// Handle.OfferCopy), in the background.
func (f *fill) copy() {
	c, now := f.cache, f.cache.options.Now()
	switch {
	case !f.handle.copied || f.answer.status != http.StatusOK,
		f.stored != nil && (f.stored.age(now) < copyEvery || c.judge(f.stored, now, f.asked) == fresh),
		f.stored == nil && c.store.isUnshared(f.asked.key, now):
		return
	}
	c.refresh(f.asked, f.stored)
}

// refresh asks the handler in the background for a response, or whether the stored
// one is still good (RFC 5861 section 3). It does nothing while that is being asked
// already, or while as many refreshes run as may.
func (c *Cache) refresh(asked *inquiry, stored *entry) {
	select {
	case c.refreshes <- struct{}{}:
	default:
		return
	}
	led, leads := c.flights.join(asked.key)
	if !leads || !c.begin() {
		<-c.refreshes
		if leads {
			c.flights.end(led)
		}
		return
	}
	background := *asked
	background.personal, background.reason = false, "stale"
	background.request = asked.request.Clone(context.WithoutCancel(asked.request.Context()))
	background.request.Body = http.NoBody
	background.request.Method = http.MethodGet
	c.scrub(background.request.Header, stored)
	go func() {
		defer c.running.Done()
		defer func() { <-c.refreshes }()
		(&fill{cache: c, asked: &background, stored: stored, led: led}).run()
	}()
}

// Private

// begin reports whether a refresh may begin. The caller then calls running.Done.
func (c *Cache) begin() bool {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.open.Err() != nil {
		return false
	}
	c.running.Add(1)
	return true
}

// scrub removes what tells who a visitor is from the request of a refresh under
// OptIn, unless the response is selected by it.
func (c *Cache) scrub(header http.Header, stored *entry) {
	if c.options.Policy != OptIn {
		return
	}
	for _, name := range []string{"Cookie", "Authorization"} {
		if stored == nil || !slices.ContainsFunc(stored.selectors, func(s selector) bool { return s.name == name }) {
			delete(header, name)
		}
	}
}
