package jobs

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// A worker takes a queue for empty as long as Redis has not said otherwise, but
// never for longer than emptyFor. How Redis says it, watchFor bounds.
const (
	emptyFor = 250 * time.Millisecond
	watchFor = 5 * time.Second
)

// waiting is a hook of the client that asynq asks for tasks with. Asynq asks
// each queue every few milliseconds; with the hook, a queue that is known to be
// empty is not asked, and when all are, the question waits until Redis says
// that there is something. Where it cannot be told, asynq asks as ever.
type waiting struct {
	commandHook
	client *redis.Client          // without the hook
	queues map[string]*queueWatch // by the key of what is pending
	ctx    context.Context        // of the watching
	stop   func()
	ended  sync.WaitGroup

	mutex  sync.Mutex
	filled chan struct{} // closed when a queue may have something
}

// newWaiting makes a hook for a client with options.
func newWaiting(options *redis.Options) *waiting {
	own := *options
	own.MaxRetries = -1 // an error is to be heard of
	own.PoolSize = len(Queues)
	ctx, cancel := context.WithCancel(context.Background())
	w := &waiting{client: redis.NewClient(&own), queues: map[string]*queueWatch{}, ctx: ctx, stop: cancel, filled: make(chan struct{})}
	for _, queue := range Queues {
		w.queues[pendingKey(queue)] = &queueWatch{emptied: make(chan struct{}, 1)}
	}
	return w
}

// start begins to watch the queues.
func (w *waiting) start() {
	for key, queue := range w.queues {
		w.ended.Go(func() { w.watch(w.ctx, key, queue) })
	}
}

// end has all questions asked at once from now on.
func (w *waiting) end() {
	w.stop()
	_ = w.client.Close() // which ends what waits for an answer
	w.ended.Wait()
	for _, queue := range w.queues {
		w.markFilled(queue, false)
	}
}

// ProcessHook answers for queues that are known to be empty.
func (w *waiting) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		queue := w.asked(command)
		if queue == nil {
			return next(ctx, command)
		}
		if !w.mayHave(queue) {
			command.SetErr(redis.Nil)
			return redis.Nil
		}
		err := next(ctx, command)
		switch {
		case errors.Is(err, redis.Nil):
			w.markEmpty(queue)
		case err == nil:
			w.markFound(queue)
		}
		return err
	}
}

// Private

// asked is the queue that command wants a task of, as asynq 0.26 asks: a script
// with the keys pending, paused, active and lease. Nil for other commands.
func (w *waiting) asked(command redis.Cmder) *queueWatch {
	if name := command.Name(); name != "evalsha" && name != "eval" {
		return nil
	}
	arguments := command.Args()
	if len(arguments) < 7 || arguments[2] != 4 {
		return nil
	}
	pending, _ := arguments[3].(string)
	lease, _ := arguments[6].(string)
	if !strings.HasSuffix(lease, ":lease") {
		return nil
	}
	return w.queues[pending]
}

// mayHave tells whether the queue is to be asked. While all are empty, it waits
// for any to be filled. When the time is over for which an empty queue is left
// alone, one asks for all.
func (w *waiting) mayHave(queue *queueWatch) bool {
	w.mutex.Lock()
	if queue.claim() {
		w.mutex.Unlock()
		return true
	}
	left, filled, allEmpty := queue.emptyStill(), w.filled, true
	for _, other := range w.queues {
		allEmpty = allEmpty && other.emptyStill() > 0
	}
	w.mutex.Unlock()
	if !allEmpty {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-w.ctx.Done():
	case <-filled:
	case <-timer.C:
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return queue.claim()
}

// queueWatch is what is known about one queue.
type queueWatch struct {
	watched bool      // Redis says when it is filled
	emptyAt time.Time // zero: it may have something
	emptied chan struct{}
}

// emptyStill is for how long the queue need not be asked.
func (q *queueWatch) emptyStill() time.Duration {
	if !q.watched || q.emptyAt.IsZero() {
		return 0
	}
	return emptyFor - time.Since(q.emptyAt)
}

// claim tells whether to ask the queue now. Of a queue that was empty, others
// think so still until the answer is there.
func (q *queueWatch) claim() bool {
	if q.emptyStill() > 0 {
		return false
	}
	if !q.emptyAt.IsZero() {
		q.emptyAt = time.Now()
	}
	return true
}

// markFound lets everybody ask a queue that was thought to be empty.
func (w *waiting) markFound(queue *queueWatch) {
	w.mutex.Lock()
	thoughtEmpty := !queue.emptyAt.IsZero()
	watched := queue.watched
	w.mutex.Unlock()
	if thoughtEmpty {
		w.markFilled(queue, watched)
	}
}

func (w *waiting) markEmpty(queue *queueWatch) {
	w.mutex.Lock()
	queue.emptyAt = time.Now()
	w.mutex.Unlock()
	select {
	case queue.emptied <- struct{}{}:
	default:
	}
}

// markFilled lets everybody ask who waits.
func (w *waiting) markFilled(queue *queueWatch, watched bool) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	queue.watched, queue.emptyAt = watched, time.Time{}
	close(w.filled)
	w.filled = make(chan struct{})
}

// watch waits again and again for an empty queue to be filled: a task that
// moves from its end to its end stays where it is, and a blocking move does so
// as soon as there is one. The watch begins after the queue was found empty, so
// that nothing comes unseen in between.
func (w *waiting) watch(ctx context.Context, key string, queue *queueWatch) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-queue.emptied:
		}
		for waits := true; waits && ctx.Err() == nil; {
			w.mutex.Lock()
			queue.watched = true
			w.mutex.Unlock()
			err := w.client.BLMove(ctx, key, key, "RIGHT", "RIGHT", watchFor).Err()
			switch {
			case errors.Is(err, redis.Nil): // nothing came
			case err == nil:
				w.markFilled(queue, true)
				waits = false
			default:
				w.markFilled(queue, false)
				waits = false
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
			}
		}
	}
}

func pendingKey(queue Queue) string { return "asynq:{" + string(queue) + "}:pending" }
