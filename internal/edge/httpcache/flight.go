package httpcache

import (
	"slices"
	"sync"
)

// flights are the fills in progress. Requests for one key that arrive during a
// fill wait for it instead of asking the handler too (request coalescing). A purge
// during a fill keeps its response, which may be older, out of the store.
type flights struct {
	mutex sync.Mutex
	byKey map[string]*flight   // those that requests may join
	all   map[*flight]struct{} // those that may store
}

// flight is one fill. All but done is guarded by the mutex of flights until done
// is closed.
type flight struct {
	key    string
	done   chan struct{}
	joined bool   // others may wait for it
	result *entry // what those who waited may use; nil when each has to ask the handler
	stale  bool   // the result is served instead of an error

	released bool
	purged   []string // tags
	doomed   bool     // the key, or everything, was purged
}

func newFlights() *flights {
	return &flights{byKey: map[string]*flight{}, all: map[*flight]struct{}{}}
}

// join returns the flight of a key, and whether the caller leads it. The leader
// must call release and end.
func (f *flights) join(key string) (_ *flight, leads bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if current := f.byKey[key]; current != nil {
		return current, false
	}
	led := &flight{key: key, done: make(chan struct{}), joined: true}
	f.byKey[key] = led
	f.all[led] = struct{}{}
	return led, true
}

// alone returns a flight that nobody can join.
func (f *flights) alone(key string) *flight {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	led := &flight{key: key, done: make(chan struct{})}
	f.all[led] = struct{}{}
	return led
}

// release lets those who wait go on with a result. Only the first call counts.
func (f *flights) release(led *flight, result *entry, stale bool) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if led.released {
		return
	}
	led.released = true
	led.result, led.stale = result, stale
	f.detach(led)
	close(led.done)
}

// end ends a flight, which stores nothing after it.
func (f *flights) end(led *flight) {
	f.release(led, nil, false)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	delete(f.all, led)
}

// store calls put unless the response of the flight was purged meanwhile. A purge
// that begins during put waits for it.
func (f *flights) store(led *flight, tags []string, put func()) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if led.doomed || slices.ContainsFunc(led.purged, func(tag string) bool { return slices.Contains(tags, tag) }) {
		return false
	}
	put()
	return true
}

// purge keeps the flights of some keys, and those with some tags, from storing.
// Requests that come after it do not wait for them.
func (f *flights) purge(doomed func(key string) bool, tags []string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for one := range f.all {
		one.doomed = one.doomed || doomed(one.key)
		one.purged = append(one.purged, tags...)
		if one.doomed || len(tags) > 0 {
			f.detach(one)
		}
	}
}

// Private

func (f *flights) detach(one *flight) {
	if f.byKey[one.key] == one {
		delete(f.byKey, one.key)
	}
}
