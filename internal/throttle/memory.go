package throttle

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// memory holds the counts and bans that one process knows. Its count of a key
// never exceeds the count of all processes: each request adds one before Redis
// is called, and each reply of Redis raises it. A key whose count is above the
// limit is therefore refused without a call of Redis. When Redis becomes
// unavailable, the counts continue from the last reply.
type memory struct {
	seed       maphash.Seed
	most       int          // largest number of entries in one shard
	generation atomic.Int64 // of the last known reset; -1 before the first reply of Redis
	shards     [shardCount]shard
}

const shardCount = 64

// entryID identifies an entry. The period distinguishes the levels of a rule.
type entryID struct {
	rule, key string
	period    time.Duration
}

// tally is the state of an entry after one more request.
type tally struct {
	count, known, previous int64
	shared                 bool // counted in a shared bucket, because the memory is full
}

func newMemory(entries int) *memory {
	m := &memory{seed: maphash.MakeSeed(), most: max(1, entries/shardCount)}
	for i := range m.shards {
		m.shards[i].entries = map[uint64]entry{}
	}
	m.generation.Store(-1)
	return m
}

// count counts a request. When the memory is full, a new key is counted in a
// shared bucket together with similar keys.
func (m *memory) count(id entryID, now time.Time) tally {
	if t, counted := m.add(id, now, false); counted {
		return t
	}
	id.key = sharedBucket(id.key)
	t, _ := m.add(id, now, true)
	t.shared = true
	return t
}

// strike counts a strike. When the memory is full, it evicts another entry.
func (m *memory) strike(id entryID, now time.Time) tally {
	t, _ := m.add(id, now, true)
	return t
}

// resetCount sets the count of a key to 0. A ban stays.
func (m *memory) resetCount(id entryID, now time.Time) {
	m.change(id, now, func(e *entry) { e.count, e.known = 0, 0 })
}

// uncount undoes one count, because another rule refused the request.
func (m *memory) uncount(id entryID, now time.Time) {
	m.change(id, now, func(e *entry) { e.count = max(e.known, e.count-1) })
}

// learn stores the counts in a reply of Redis, unless the reply is older than
// the last reset.
func (m *memory) learn(id entryID, now time.Time, generation, count, previous int64) {
	m.change(id, now, func(e *entry) {
		if m.generation.Load() <= generation {
			e.count = max(e.count, count)
			e.known = max(e.known, count)
			e.previous = max(e.previous, previous)
		}
	})
}

// markRefused records that a key was refused, and reports whether that was its
// first refusal in this window.
func (m *memory) markRefused(id entryID, now time.Time) (first bool) {
	m.change(id, now, func(e *entry) {
		first = !e.refused
		e.refused = true
	})
	return first
}

// ban stores a ban, unless it is older than the last reset. It reports whether
// the key was not banned before.
func (m *memory) ban(id entryID, now time.Time, left time.Duration, generation int64) (fresh bool) {
	s, key := m.shard(id)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if m.generation.Load() > generation {
		return false
	}
	e, found := s.entries[key]
	if !found {
		s.evict(m.most, now)
	}
	fresh = e.until <= now.UnixMilli()
	e.until = max(e.until, now.Add(left).UnixMilli())
	s.entries[key] = e
	return fresh
}

// banned is the rest of a ban, 0 without one. It is at most longest, in case the
// clock was set back.
func (m *memory) banned(id entryID, now time.Time, longest time.Duration) time.Duration {
	s, key := m.shard(id)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	left := time.Duration(s.entries[key].until-now.UnixMilli()) * time.Millisecond
	return max(0, min(left, longest))
}

// reset deletes all entries when generation is newer than the last known one.
// The first generation deletes nothing: no entry can be older than that reset.
func (m *memory) reset(generation int64) {
	known := m.generation.Load()
	if generation <= known || !m.generation.CompareAndSwap(known, generation) || known < 0 {
		return
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mutex.Lock()
		clear(s.entries)
		s.mutex.Unlock()
	}
}

// bans is the number of bans in force.
func (m *memory) bans(now time.Time) (number int) {
	for i := range m.shards {
		s := &m.shards[i]
		s.mutex.Lock()
		for _, e := range s.entries {
			if e.until > now.UnixMilli() {
				number++
			}
		}
		s.mutex.Unlock()
	}
	return number
}

// Private

type shard struct {
	mutex   sync.Mutex
	entries map[uint64]entry
}

type entry struct {
	window                 int64 // number of the window of the counts
	count, known, previous int64
	expires                int64 // Unix milliseconds; later the counts are useless
	until                  int64 // Unix milliseconds, the end of a ban
	refused                bool  // in this window
}

func (m *memory) shard(id entryID) (*shard, uint64) {
	key := maphash.Comparable(m.seed, id)
	return &m.shards[key%shardCount], key
}

// add counts one more in an entry. It reports false when there is no room for a
// new entry and it may not evict another one.
func (m *memory) add(id entryID, now time.Time, mayEvict bool) (tally, bool) {
	s, key := m.shard(id)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	e, found := s.entries[key]
	if !found && !s.ensureRoom(m.most, now) {
		if !mayEvict {
			return tally{}, false
		}
		s.evict(m.most, now)
	}
	e.enter(windowOf(id.period, now), id.period)
	e.count++
	s.entries[key] = e
	return tally{count: e.count, known: e.known, previous: e.previous}, true
}

// change changes an existing entry of the current window.
func (m *memory) change(id entryID, now time.Time, change func(*entry)) {
	s, key := m.shard(id)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if e, found := s.entries[key]; found && e.window == windowOf(id.period, now) {
		change(&e)
		s.entries[key] = e
	}
}

// enter moves an entry into a window, also after a change of the clock.
func (e *entry) enter(window int64, period time.Duration) {
	if e.window == window {
		return
	}
	previous := int64(0)
	if e.window == window-1 {
		previous = e.count
	}
	*e = entry{window: window, previous: previous, expires: (window + 2) * period.Milliseconds(), until: e.until}
}

func (e entry) useless(now time.Time) bool {
	return e.expires <= now.UnixMilli() && e.until <= now.UnixMilli()
}

// ensureRoom reports whether there is room for a new entry. It deletes a useless
// entry if one of two random entries is useless.
func (s *shard) ensureRoom(most int, now time.Time) bool {
	if len(s.entries) < most {
		return true
	}
	for key, e := range s.twoRandom() {
		if e.useless(now) {
			delete(s.entries, key)
			return true
		}
	}
	return false
}

// evict makes room for a new entry. Of two random entries it deletes the one
// whose ban ends first, or the one with the lower count.
func (s *shard) evict(most int, now time.Time) {
	if s.ensureRoom(most, now) {
		return
	}
	var least uint64
	lesser := entry{until: math.MaxInt64}
	for key, e := range s.twoRandom() {
		if e.until < lesser.until || e.until == lesser.until && e.count < lesser.count {
			least, lesser = key, e
		}
	}
	delete(s.entries, least)
}

// twoRandom relies on the random order in which Go walks through a map.
func (s *shard) twoRandom() map[uint64]entry {
	two := make(map[uint64]entry, 2)
	for key, e := range s.entries {
		two[key] = e
		if len(two) == 2 {
			break
		}
	}
	return two
}

// sharedBucket is the key that stands for an address and its neighbours: a /24
// of IPv4 or a /48 of IPv6, as one customer has a /64 and may have a /48. Keys
// that are no addresses fall into 4096 buckets.
func sharedBucket(key string) string {
	if address, err := netip.ParseAddr(key); err == nil {
		bits := 48
		if address.Is4() {
			bits = 24
		}
		network, _ := address.Prefix(bits) // fails only for too many bits
		return "around " + network.String()
	}
	if network, err := netip.ParsePrefix(key); err == nil && network.Bits() > 48 {
		network, _ = network.Addr().Prefix(48)
		return "around " + network.String()
	}
	return "around " + hash(key)[:3]
}
