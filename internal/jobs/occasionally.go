package jobs

import (
	"sync"
	"time"
)

// Private

// occasionally does something at most once in a time for each name.
type occasionally struct {
	every time.Duration
	mutex sync.Mutex
	last  map[string]time.Time
}

func newOccasionally(every time.Duration) *occasionally {
	return &occasionally{every: every, last: map[string]time.Time{}}
}

func (o *occasionally) do(name string, action func()) {
	o.mutex.Lock()
	due := time.Since(o.last[name]) >= o.every
	if due {
		o.last[name] = time.Now()
	}
	o.mutex.Unlock()
	if due {
		action()
	}
}
