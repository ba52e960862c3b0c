package throttle

import (
	"hash/maphash"
	"math"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// A memory is what one process knows of counts and bans. Its count of a key is
// a lower bound of the count of all processes: it goes up by one with each
// request, before Redis is asked, and up to what Redis answers. So what is over
// the limit here is over the limit for certain and needs no call of Redis; and
// when Redis goes away, the counts are as warm as they can be.
type memory struct {
	seed       maphash.Seed
	most       int          // entries of one shard
	generation atomic.Int64 // of the last reset that this process heard of; -1 before the first answer
	shards     [shardCount]shard
}

const shardCount = 64

// place is what an entry is about. Period tells apart the levels of a rule.
type place struct {
	rule, key string
	period    time.Duration
}

// tally is what one more request makes of an entry.
type tally struct {
	count, known, previous int64
	coarse                 bool // counted for the neighbourhood, because the memory is full
}

func newMemory(entries int) *memory {
	m := &memory{seed: maphash.MakeSeed(), most: max(1, entries/shardCount)}
	for i := range m.shards {
		m.shards[i].entries = map[uint64]entry{}
	}
	m.generation.Store(-1)
	return m
}

// count counts a request. Where the memory is full of others it is counted
// together with those of its neighbours.
func (m *memory) count(at place, now time.Time) tally {
	if t, counted := m.countAt(at, now, false); counted {
		return t
	}
	at.key = neighbourhood(at.key)
	t, _ := m.countAt(at, now, true)
	t.coarse = true
	return t
}

// strike counts a strike, if need be in place of an entry that matters less.
func (m *memory) strike(at place, now time.Time) tally {
	t, _ := m.countAt(at, now, true)
	return t
}

// pardon begins the count of a key anew. A ban stays.
func (m *memory) pardon(at place, now time.Time) {
	m.change(at, now, func(e *entry) { e.count, e.known = 0, 0 })
}

// uncount takes back a count: an earlier rule refused the request.
func (m *memory) uncount(at place, now time.Time) {
	m.change(at, now, func(e *entry) { e.count = max(e.known, e.count-1) })
}

// learn takes over what Redis said, unless a reset has come between.
func (m *memory) learn(at place, now time.Time, generation, count, previous int64) {
	m.change(at, now, func(e *entry) {
		if m.generation.Load() <= generation {
			e.count = max(e.count, count)
			e.known = max(e.known, count)
			e.previous = max(e.previous, previous)
		}
	})
}

// firstRefusal tells whether the key is refused for the first time in this
// window.
func (m *memory) firstRefusal(at place, now time.Time) (first bool) {
	m.change(at, now, func(e *entry) {
		first = !e.told
		e.told = true
	})
	return first
}

// ban remembers a ban, unless a reset has come between.
func (m *memory) ban(at place, now time.Time, left time.Duration, generation int64) (fresh bool) {
	s, key := m.shard(at)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if m.generation.Load() > generation {
		return false
	}
	e, found := s.entries[key]
	if !found {
		s.makeRoom(m.most, now)
	}
	fresh = e.until <= now.UnixMilli()
	e.until = max(e.until, now.Add(left).UnixMilli())
	s.entries[key] = e
	return fresh
}

// banned is how long a ban lasts yet, and never longer than longest: the clock
// may have been set back.
func (m *memory) banned(at place, now time.Time, longest time.Duration) time.Duration {
	s, key := m.shard(at)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	left := time.Duration(s.entries[key].until-now.UnixMilli()) * time.Millisecond
	return max(0, min(left, longest))
}

// reset forgets everything when generation is news.
func (m *memory) reset(generation int64) {
	heard := m.generation.Load()
	if generation <= heard || !m.generation.CompareAndSwap(heard, generation) || heard < 0 {
		return // what was counted before Redis first answered is not older than its last reset
	}
	for i := range m.shards {
		s := &m.shards[i]
		s.mutex.Lock()
		clear(s.entries)
		s.mutex.Unlock()
	}
}

// bans is how many bans are in force.
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
	window                 int64 // number of the window that the counts are of
	count, known, previous int64
	ends                   int64 // Unix milliseconds, after which the counts are of no use
	until                  int64 // Unix milliseconds, the end of a ban
	told                   bool
}

func (m *memory) shard(at place) (*shard, uint64) {
	key := maphash.Comparable(m.seed, at)
	return &m.shards[key%shardCount], key
}

func (m *memory) countAt(at place, now time.Time, force bool) (tally, bool) {
	s, key := m.shard(at)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	e, found := s.entries[key]
	if !found && !s.hasRoom(m.most, now) {
		if !force {
			return tally{}, false
		}
		s.makeRoom(m.most, now)
	}
	e.enter(windowOf(at.period, now), at.period)
	e.count++
	s.entries[key] = e
	return tally{count: e.count, known: e.known, previous: e.previous}, true
}

// change changes an entry of the present window that is there.
func (m *memory) change(at place, now time.Time, change func(*entry)) {
	s, key := m.shard(at)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if e, found := s.entries[key]; found && e.window == windowOf(at.period, now) {
		change(&e)
		s.entries[key] = e
	}
}

// enter begins a new window when it is time, also after the clock was set.
func (e *entry) enter(window int64, period time.Duration) {
	if e.window == window {
		return
	}
	previous := int64(0)
	if e.window == window-1 {
		previous = e.count
	}
	*e = entry{window: window, previous: previous, ends: (window + 2) * period.Milliseconds(), until: e.until}
}

func (e entry) useless(now time.Time) bool {
	return e.ends <= now.UnixMilli() && e.until <= now.UnixMilli()
}

// hasRoom also makes room where one of two entries, taken at random, is of no
// use any more.
func (s *shard) hasRoom(most int, now time.Time) bool {
	if len(s.entries) < most {
		return true
	}
	for key, e := range s.twoAtRandom() {
		if e.useless(now) {
			delete(s.entries, key)
			return true
		}
	}
	return false
}

// makeRoom forgets the entry of two, taken at random, that matters less.
func (s *shard) makeRoom(most int, now time.Time) {
	if s.hasRoom(most, now) {
		return
	}
	var least uint64
	lesser := entry{until: math.MaxInt64}
	for key, e := range s.twoAtRandom() {
		if e.until < lesser.until || e.until == lesser.until && e.count < lesser.count {
			least, lesser = key, e
		}
	}
	delete(s.entries, least)
}

// twoAtRandom relies on the order of maps, which begins anywhere.
func (s *shard) twoAtRandom() map[uint64]entry {
	two := make(map[uint64]entry, 2)
	for key, e := range s.entries {
		two[key] = e
		if len(two) == 2 {
			break
		}
	}
	return two
}

// windowOf numbers windows from the epoch, so that all processes agree.
func windowOf(period time.Duration, now time.Time) int64 {
	return now.UnixMilli() / period.Milliseconds()
}

// neighbourhood is the larger network around a client, or one of 4096 groups
// of other keys. An IPv6 customer has a /64 and may have a /48.
func neighbourhood(key string) string {
	if address, err := netip.ParseAddr(key); err == nil {
		bits := 48
		if address.Is4() {
			bits = 24
		}
		network, _ := address.Prefix(bits) // the bits are few enough
		return "around " + network.String()
	}
	if network, err := netip.ParsePrefix(key); err == nil && network.Bits() > 48 {
		network, _ = network.Addr().Prefix(48)
		return "around " + network.String()
	}
	return "around " + hash(key)[:3]
}
