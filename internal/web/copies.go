package web

import (
	"container/list"
	"net/http"
	"sync"
	"time"
)

// copies keeps the last rendering of pages, those that were asked for last, up
// to a number of bytes.
type copies struct {
	size int64

	mutex     sync.Mutex
	held      int64
	order     *list.List // of *pageCopy, the one asked for last in front
	byAddress map[string]*list.Element
}

// pageCopy is a page as everybody may see it.
type pageCopy struct {
	address string
	header  http.Header
	body    []byte
	drawnAt time.Time
}

// copyOverhead is about what a copy takes besides its body and address.
const copyOverhead = 1024

func newCopies(size int64) *copies {
	return &copies{size: size, order: list.New(), byAddress: map[string]*list.Element{}}
}

func (c *copies) get(address string) (*pageCopy, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	element, kept := c.byAddress[address]
	if !kept {
		return nil, false
	}
	c.order.MoveToFront(element)
	return element.Value.(*pageCopy), true
}

func (c *copies) put(page *pageCopy) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if element, kept := c.byAddress[page.address]; kept {
		c.remove(element)
	}
	if page.weight() > c.size/8 {
		return // one page must not push out all others
	}
	c.byAddress[page.address] = c.order.PushFront(page)
	c.held += page.weight()
	for c.held > c.size {
		c.remove(c.order.Back())
	}
}

func (c *copies) remove(element *list.Element) {
	page := c.order.Remove(element).(*pageCopy)
	delete(c.byAddress, page.address)
	c.held -= page.weight()
}

func (p *pageCopy) weight() int64 {
	return int64(len(p.body) + len(p.address) + copyOverhead)
}
