package taskqueue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Private

// repeatEvery is how often a worker looks whether a task that it runs is marked as
// cancelled.
const repeatEvery = 2 * time.Second

// running are the tasks that the servers of one process run. Redis forgets a
// published cancellation that no subscriber hears, as while a server starts or its
// connection is lost, so running publishes again what is marked.
type running struct {
	cancellations *Cancellations
	inspector     *asynq.Inspector
	ended         chan struct{}
	loop          sync.WaitGroup

	mutex sync.Mutex
	ids   map[string]struct{}
}

func newRunning(client *redis.Client, n namespace) *running {
	return &running{
		cancellations: &Cancellations{client, n},
		inspector:     asynq.NewInspectorFromRedisClient(&canceller{client, n}),
		ended:         make(chan struct{}),
		ids:           map[string]struct{}{},
	}
}

func (r *running) add(id string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.ids[id] = struct{}{}
}

func (r *running) remove(id string) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.ids, id)
}

func (r *running) all() []string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Collect(maps.Keys(r.ids))
}

func (r *running) start() { r.loop.Go(r.repeatUntilStopped) }

func (r *running) stop() {
	close(r.ended)
	r.loop.Wait()
}

func (r *running) repeatUntilStopped() {
	ticker := time.NewTicker(repeatEvery)
	defer ticker.Stop()
	for {
		select {
		case <-r.ended:
			return
		case <-ticker.C:
			r.repeat()
		}
	}
}

// repeat publishes the cancellations of marked tasks. An error needs no report: the
// next look is soon, and a Redis that is unavailable is reported elsewhere.
func (r *running) repeat() {
	ctx, cancel := context.WithTimeout(context.Background(), repeatEvery)
	defer cancel()
	marked, err := r.cancellations.marked(ctx, r.all())
	if err != nil {
		return
	}
	for _, id := range marked {
		_ = r.inspector.CancelProcessing(id)
	}
}
