package httpcache

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
)

// store holds the responses of all keys within a number of bytes. The ones used
// least are evicted first (W-TinyLFU).
type store struct {
	responses *otter.Cache[string, *resource]
	rules     *otter.Cache[string, *searchRule] // by path
	unshared  *otter.Cache[string, time.Time]   // keys whose response was not stored, until a time
	tags      *tagIndex
	evictions atomic.Int64
	roomOfKey int // bytes of the responses of one key
}

// resource is what is stored for one key: a response for each selection by Vary,
// the newest first. It is never changed once it is stored.
type resource struct {
	entries []*entry
	weight  int
}

const (
	maxVariants = 64     // responses of one key
	maxRules    = 4096   // paths with a No-Vary-Search
	maxUnshared = 16_384 // keys that are known not to be stored
	unsharedFor = 10 * time.Second
)

func newStore(size, maxItem int64) *store {
	s := &store{tags: newTagIndex(), roomOfKey: int(max(maxItem, size/8))}
	s.responses = otter.Must(&otter.Options[string, *resource]{
		MaximumWeight: uint64(size),
		Weigher:       func(key string, r *resource) uint32 { return uint32(len(key) + r.weight) },
		OnAtomicDeletion: func(deleted otter.DeletionEvent[string, *resource]) {
			for _, one := range deleted.Value.entries {
				s.tags.remove(deleted.Key, one.tags)
			}
			if deleted.WasEvicted() {
				s.evictions.Add(1)
			}
		},
		Logger: &otter.NoopLogger{},
	})
	s.rules = otter.Must(&otter.Options[string, *searchRule]{MaximumSize: maxRules, Logger: &otter.NoopLogger{}})
	s.unshared = otter.Must(&otter.Options[string, time.Time]{MaximumSize: maxUnshared, Logger: &otter.NoopLogger{}})
	return s
}

// entries are the responses of a key, the newest first.
func (s *store) entries(key string) []*entry {
	if found, ok := s.responses.GetIfPresent(key); ok {
		return found.entries
	}
	return nil
}

// put stores a response in place of those that the same requests select.
func (s *store) put(key string, e *entry) {
	s.tags.add(key, e.tags)
	s.responses.Compute(key, func(old *resource, found bool) (*resource, otter.ComputeOp) {
		next := &resource{entries: []*entry{e}, weight: e.weight}
		if found {
			for _, one := range old.entries {
				replaced := sameSelection(one.selectors, e.selectors) && (one.query == e.query || one.rule.same(e.rule) && e.rule != nil)
				if replaced || len(next.entries) == maxVariants || next.weight+one.weight > s.roomOfKey {
					continue
				}
				s.tags.add(key, one.tags) // taken back when old is deleted
				next.entries = append(next.entries, one)
				next.weight += one.weight
			}
		}
		return next, otter.WriteOp
	})
	s.unshared.Invalidate(key)
}

// drop removes one response.
func (s *store) drop(key string, e *entry) {
	s.responses.Compute(key, func(old *resource, found bool) (*resource, otter.ComputeOp) {
		if !found || !slices.Contains(old.entries, e) {
			return nil, otter.CancelOp
		}
		next := &resource{}
		for _, one := range old.entries {
			if one != e {
				s.tags.add(key, one.tags)
				next.entries = append(next.entries, one)
				next.weight += one.weight
			}
		}
		if len(next.entries) == 0 {
			return nil, otter.InvalidateOp
		}
		return next, otter.WriteOp
	})
}

// delete removes all responses of a key. It reports whether there were any.
func (s *store) delete(key string) bool {
	_, had := s.responses.Invalidate(key)
	return had
}

func (s *store) deleteAll() {
	s.responses.InvalidateAll()
	s.unshared.InvalidateAll()
}

// rule is the No-Vary-Search of the newest response of a path, nil without one.
func (s *store) rule(path string) *searchRule {
	rule, _ := s.rules.GetIfPresent(path)
	return rule
}

// learn keeps the rule of a path.
func (s *store) learn(path string, rule *searchRule) { s.rules.Set(path, rule) }

// markUnshared remembers that the response of a key was not stored, so that
// requests for it do not wait for each other for a while (hit-for-miss).
func (s *store) markUnshared(key string, now time.Time) { s.unshared.Set(key, now.Add(unsharedFor)) }

func (s *store) isUnshared(key string, now time.Time) bool {
	until, ok := s.unshared.GetIfPresent(key)
	return ok && now.Before(until)
}

func (s *store) close() {
	s.responses.StopAllGoroutines()
	s.rules.StopAllGoroutines()
	s.unshared.StopAllGoroutines()
}
