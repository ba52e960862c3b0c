package jobs

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Private

// A queue fetches up to mostAhead times its slots at once, and at most mostFetched jobs,
// while its jobs take so little time that they all run within fetchWindow.
const (
	mostAhead   = 10
	mostFetched = 500
	fetchWindow = 30 * time.Millisecond
)

// slotPatience is how long a job that was fetched ahead waits for a slot. Then it returns
// to its queue, because another worker may have a slot.
const slotPatience = 250 * time.Millisecond

// slots are those of one queue. They bound the jobs that run at the same time, apart
// from how many are fetched at once: a fetch costs PostgreSQL and the worker about the
// same for one job as for a hundred. A job that waits for a slot has not begun: its
// timeout and its metrics do not run.
type slots struct {
	taken chan struct{} // one item for each job that runs
	most  int           // jobs that were fetched and have not ended
	held  atomic.Int64  // the same, as they are now
	ended atomic.Int64  // jobs
	full  chan struct{} // closed when the worker stops: no job waits for a slot any more

	mutex   sync.Mutex
	running map[int64]struct{} // jobs with a slot, by id

	// Only one fetch of a queue runs at a time, so these need no lock.
	ahead   int // jobs that the slots finished in the last window
	since   time.Time
	counted int64 // ended at the time since
}

func newSlots(number int) *slots {
	most := max(number, min(mostAhead*number, mostFetched))
	return &slots{
		taken: make(chan struct{}, number), most: most, full: make(chan struct{}),
		running: map[int64]struct{}{}, since: time.Now(),
	}
}

// slotsOf returns the slots of a queue. Where a kind has a limit, no job is fetched ahead:
// the runs of one key begin in the order of their jobs, which all ask for it when they are
// fetched, and not when a slot is free.
func slotsOf(handlers Handlers, queue Queue, number int) *slots {
	s := newSlots(number)
	if handlers.limitedIn(queue) {
		s.most = number
	}
	return s
}

// take waits for a slot for a job. It returns false when none came in time.
func (s *slots) take(ctx context.Context, id int64) bool {
	if !s.wait(ctx) {
		return false
	}
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.running[id] = struct{}{}
	return true
}

func (s *slots) wait(ctx context.Context) bool {
	select {
	case s.taken <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(slotPatience)
	defer patience.Stop()
	select {
	case s.taken <- struct{}{}:
		return true
	case <-patience.C:
	case <-s.full:
	case <-ctx.Done():
	}
	return false
}

// release gives the slot of a job back, once: at its end, or before that when its handler
// is stuck.
func (s *slots) release(id int64) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if _, runs := s.running[id]; !runs {
		return
	}
	delete(s.running, id)
	<-s.taken // never waits: the job has a slot
	s.held.Add(-1)
	s.ended.Add(1)
}

// room returns how many jobs to fetch: as many as there are free slots, and as many as
// the slots finish in the time until the next fetch.
func (s *slots) room(now time.Time) int {
	if passed := now.Sub(s.since); passed >= fetchWindow {
		ended := s.ended.Load()
		s.ahead = int(time.Duration(ended-s.counted) * fetchWindow / passed)
		s.since, s.counted = now, ended
	}
	return min(cap(s.taken)+s.ahead, s.most) - int(s.held.Load())
}

// slotsByQueue is the middleware that lets a job wait for a slot of its queue.
type slotsByQueue struct {
	river.MiddlewareDefaults
	queues map[string]*slots
}

// Work runs a job in a slot. A job that gets none returns to its queue as if it had not
// been fetched.
func (s *slotsByQueue) Work(ctx context.Context, job *rivertype.JobRow, next func(context.Context) error) error {
	own := s.queues[job.Queue]
	own.held.Add(1)
	if !own.take(ctx, job.ID) {
		own.held.Add(-1)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return river.JobSnooze(0)
	}
	defer own.release(job.ID)
	growStack()
	return next(ctx)
}

// stop returns the jobs that wait for a slot to their queues.
func (s *slotsByQueue) stop() {
	for _, queue := range s.queues {
		close(queue.full)
	}
}
