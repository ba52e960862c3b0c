package web

import (
	"container/list"
	"net/http"
	"sync"
	"time"
)

// pageCache is a least-recently-used cache of rendered pages, bounded in bytes.
type pageCache struct {
	capacity int64 // in bytes

	mutex     sync.Mutex
	size      int64
	order     *list.List // of *cachedPage; the most recently used is in front
	byAddress map[string]*list.Element
}

// cachedPage is a page without any visitor's data.
type cachedPage struct {
	address    string // path and query
	header     http.Header
	body       []byte
	renderedAt time.Time
}

// pageOverhead estimates a cached page's memory besides body and address, in bytes.
const pageOverhead = 1024

func newPageCache(capacity int64) *pageCache {
	return &pageCache{capacity: capacity, order: list.New(), byAddress: map[string]*list.Element{}}
}

func (c *pageCache) get(address string) (*cachedPage, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	element, cached := c.byAddress[address]
	if !cached {
		return nil, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*cachedPage), true
}

func (c *pageCache) put(page *cachedPage) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if element, cached := c.byAddress[page.address]; cached {
		c.remove(element)
	}
	if page.size() > c.capacity/8 {
		return // one page must not evict all others
	}
	c.byAddress[page.address] = c.order.PushFront(page)
	c.size += page.size()
	for c.size > c.capacity {
		c.remove(c.order.Back())
	}
}

func (c *pageCache) remove(element *list.Element) {
	page := c.order.Remove(element).(*cachedPage)
	delete(c.byAddress, page.address)
	c.size -= page.size()
}

func (p *cachedPage) size() int64 {
	return int64(len(p.body) + len(p.address) + pageOverhead)
}
