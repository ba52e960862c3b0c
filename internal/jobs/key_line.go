package jobs

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Private

// gatherFor is how long a job waits for others of its key before it asks for the
// key for the first time. A worker takes many jobs at once, and the goroutines that
// run them begin in any order.
const gatherFor = 5 * time.Millisecond

// keyLine lets the runs of one worker ask for a key in order.
type keyLine struct {
	mutex  sync.Mutex
	places map[string][]*place // by key, in order
}

// place is a run that asks for its key.
type place struct {
	waiter waiter
	first  chan struct{} // closed when the run is the first of its key
}

// await returns when the run is the first of its key, or when ctx has ended. Call
// leave once the run has asked for the key.
func (k *keyLine) await(ctx context.Context, key string, w waiter) (leave func()) {
	mine := k.enter(key, w)
	if w.fresh {
		gathered := time.NewTimer(gatherFor)
		defer gathered.Stop()
		select {
		case <-ctx.Done():
		case <-gathered.C:
		}
	}
	select {
	case <-ctx.Done():
	case <-mine.first:
	}
	return func() { k.leave(key, mine) }
}

func (k *keyLine) enter(key string, w waiter) *place {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	mine := &place{waiter: w, first: make(chan struct{})}
	at, _ := slices.BinarySearchFunc(k.places[key], mine, func(other, mine *place) int {
		return cmp.Or(other.waiter.compare(mine.waiter), -1) // behind its equals
	})
	k.places[key] = slices.Insert(k.places[key], at, mine)
	if at == 0 {
		close(mine.first)
	}
	return mine
}

func (k *keyLine) leave(key string, mine *place) {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	rest := slices.DeleteFunc(k.places[key], func(other *place) bool { return other == mine })
	if len(rest) == 0 {
		delete(k.places, key)
		return
	}
	k.places[key] = rest
	select {
	case <-rest[0].first:
	default:
		close(rest[0].first)
	}
}
