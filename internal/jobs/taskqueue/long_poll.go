package taskqueue

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"slipway/internal/failopen"
)

const (
	// emptyFor is how long a worker treats a queue as empty without asking Redis.
	emptyFor = 250 * time.Millisecond
	// watchFor is how long one blocking command waits for a task.
	watchFor = 5 * time.Second
	// fetchPause is the pause after a request for a task that Redis refused, for
	// example because it is full. asynq itself asks again at once, without end.
	fetchPause = 500 * time.Millisecond
)

// longPoll is a hook of the Redis client by which asynq fetches tasks. asynq
// asks for a task of each queue every few milliseconds. The hook replies "none"
// for a queue that is known to be empty. While all queues are empty, it holds the
// request until Redis reports a new task. When the hook cannot watch Redis, all
// requests of asynq pass.
type longPoll struct {
	failopen.CommandHook
	client   *redis.Client          // without the hook
	queues   map[string]*queueWatch // by pendingKey
	ctx      context.Context        // ends the watchers
	cancel   func()
	watchers sync.WaitGroup

	mutex  sync.Mutex
	filled chan struct{} // closed when a queue may have a task
}

// newLongPoll returns a hook for a client with the same options.
func newLongPoll(options *redis.Options, queues []Queue) *longPoll {
	own := *options
	own.MaxRetries = -1 // the watchers handle every error
	own.PoolSize = len(queues)
	ctx, cancel := context.WithCancel(context.Background())
	l := &longPoll{
		client: redis.NewClient(&own), queues: map[string]*queueWatch{},
		ctx: ctx, cancel: cancel, filled: make(chan struct{}),
	}
	for _, queue := range queues {
		l.queues[pendingKey(queue.Name)] = &queueWatch{emptied: make(chan struct{}, 1)}
	}
	return l
}

// start starts to watch the queues.
func (l *longPoll) start() {
	for key, queue := range l.queues {
		l.watchers.Go(func() { l.watch(l.ctx, key, queue) })
	}
}

// stop ends the watchers. All requests of asynq pass from then on. A second call
// is harmless.
func (l *longPoll) stop() {
	l.cancel()
	_ = l.client.Close() // ends blocking commands
	l.watchers.Wait()
	for _, queue := range l.queues {
		l.markFilled(queue, false)
	}
}

// ProcessHook replies "none" for queues that are known to be empty.
func (l *longPoll) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		queue := l.fetched(command)
		if queue == nil {
			return next(ctx, command)
		}
		if !l.await(queue) {
			command.SetErr(redis.Nil)
			return redis.Nil
		}
		err := next(ctx, command)
		switch {
		case isNothing(err):
			l.markEmpty(queue)
		case err == nil && isText(command):
			l.markFound(queue)
		case err == nil, !isAnswer(err):
			l.pause(ctx, fetchPause)
		}
		return err
	}
}

// Private

// pause returns after a while, or at once when ctx or the long poll ends.
func (l *longPoll) pause(ctx context.Context, while time.Duration) {
	timer := time.NewTimer(while)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.ctx.Done():
	case <-timer.C:
	}
}

// fetched returns the queue from which a command takes a task, nil for other
// commands. asynq 0.26 takes a task by a script with the keys pending, paused,
// active and lease.
func (l *longPoll) fetched(command redis.Cmder) *queueWatch {
	if name := command.Name(); name != "evalsha" && name != "eval" {
		return nil
	}
	arguments := command.Args()
	if len(arguments) < 7 || arguments[2] != 4 {
		return nil
	}
	pending, _ := arguments[3].(string)
	lease, _ := arguments[6].(string)
	if !isLeaseKey(lease) {
		return nil
	}
	return l.queues[pending]
}

// await reports whether a request for a task of the queue passes. While all
// queues are empty, it waits for a new task in any of them. One request passes
// when emptyFor is over; the others wait for its reply.
func (l *longPoll) await(queue *queueWatch) bool {
	l.mutex.Lock()
	if queue.claim() {
		l.mutex.Unlock()
		return true
	}
	left, filled, allEmpty := queue.emptyLeft(), l.filled, true
	for _, other := range l.queues {
		allEmpty = allEmpty && other.emptyLeft() > 0
	}
	l.mutex.Unlock()
	if !allEmpty {
		return false
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	select {
	case <-l.ctx.Done():
	case <-filled:
	case <-timer.C:
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return queue.claim()
}

// queueWatch is what is known about one queue.
type queueWatch struct {
	watched bool          // a watcher will see a new task
	emptyAt time.Time     // when the queue was found empty; zero: it may have a task
	emptied chan struct{} // starts the watcher
}

// emptyLeft returns how much longer the queue counts as empty.
func (q *queueWatch) emptyLeft() time.Duration {
	if !q.watched || q.emptyAt.IsZero() {
		return 0
	}
	return emptyFor - time.Since(q.emptyAt)
}

// claim reports whether a request passes now. A queue that was empty counts as
// empty for all other requests until the reply is there.
func (q *queueWatch) claim() bool {
	if q.emptyLeft() > 0 {
		return false
	}
	if !q.emptyAt.IsZero() {
		q.emptyAt = time.Now()
	}
	return true
}

// markFound notes that a request got a task.
func (l *longPoll) markFound(queue *queueWatch) {
	l.mutex.Lock()
	wasEmpty := !queue.emptyAt.IsZero()
	watched := queue.watched
	l.mutex.Unlock()
	if wasEmpty {
		l.markFilled(queue, watched)
	}
}

// markEmpty notes that a request got no task.
func (l *longPoll) markEmpty(queue *queueWatch) {
	l.mutex.Lock()
	queue.emptyAt = time.Now()
	l.mutex.Unlock()
	select {
	case queue.emptied <- struct{}{}:
	default:
	}
}

// markFilled lets all waiting requests pass.
func (l *longPoll) markFilled(queue *queueWatch, watched bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	queue.watched, queue.emptyAt = watched, time.Time{}
	close(l.filled)
	l.filled = make(chan struct{})
}

// watch waits for a new task whenever the queue was found empty. It blocks on a
// move from the end of the list to the same end, which returns when there is a
// task and does not change the list.
func (l *longPoll) watch(ctx context.Context, key string, queue *queueWatch) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-queue.emptied:
		}
		for waiting := true; waiting && ctx.Err() == nil; {
			l.mutex.Lock()
			queue.watched = true
			l.mutex.Unlock()
			began := time.Now()
			err := l.client.BLMove(ctx, key, key, "RIGHT", "RIGHT", watchFor).Err()
			switch {
			case isNothing(err) && time.Since(began) > watchFor/2: // no task within watchFor
			case err == nil:
				l.markFilled(queue, true)
				waiting = false
			default:
				l.markFilled(queue, false)
				waiting = false
				l.pause(ctx, time.Second)
			}
		}
	}
}
