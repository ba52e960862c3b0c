package jobs

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres/pgtest"
)

func TestLimit_StartsTheNextJobInOrderWhenOneEnds(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	runs := &referee{}
	startHandlers(t, db, Handle(func(_ context.Context, args printArgs) error { return runs.run(args.Number) }))

	began := time.Now()
	enqueueMany(t, db, prints(40)...)

	stacktest.Eventually(t, func() bool { return runs.ended() == 40 })
	require.Less(t, time.Since(began), 15*time.Second) // a pause of a second for each would take longer
	require.Equal(t, 1, runs.most())
	inOrder := runs.numbers()[1:] // the first is one of those that the worker took at once
	require.True(t, slices.IsSorted(inOrder), inOrder)
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`) == 40 })
	require.LessOrEqual(t, count(t, db, `SELECT max((metadata->>'snoozes')::int) FROM river_job`), 1)
	require.Equal(t, 40, count(t, db, `SELECT sum(attempt) FROM river_job`))
	require.Zero(t, count(t, db, `SELECT count(*) FROM key_waiters`))
}

func TestLimit_LetsMaxJobsRunAtATime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	runs := &referee{}
	startHandlers(t, db, Handle(func(_ context.Context, args printInPairsArgs) error { return runs.run(args.Number) }))

	enqueueMany(t, db, slices.Repeat([]Args{printInPairsArgs{}}, 30)...)

	stacktest.Eventually(t, func() bool { return runs.ended() == 30 })
	require.Equal(t, 2, runs.most())
}

func TestLimit_HoldsForTasks(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	one, two := &referee{}, &referee{}
	worker := startTaskHandlers(t, server.URL(), time.Second,
		Handle(func(_ context.Context, args printArgs) error { return one.run(args.Number) }),
		Handle(func(_ context.Context, args printInPairsArgs) error { return two.run(args.Number) }))
	tasks, _ := newTasks(t, server.URL())

	began := time.Now()
	require.True(t, tasks.Enqueue(t.Context(), append(prints(30), slices.Repeat([]Args{printInPairsArgs{}}, 30)...)...))

	stacktest.Eventually(t, func() bool { return one.ended() == 30 && two.ended() == 30 })
	require.Less(t, time.Since(began), 15*time.Second)
	require.Equal(t, 1, one.most())
	require.Equal(t, 2, two.most())
	require.Zero(t, count(t, worker.db, `SELECT count(*) FROM key_waiters`))
}

func TestLimit_HoldsOverBothBackends(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	runs := &referee{}
	handler := Handle(func(_ context.Context, args printArgs) error { return runs.run(args.Number) })
	worker := startTaskHandlers(t, server.URL(), time.Second, handler)
	startHandlers(t, worker.db, handler)
	tasks, _ := newTasks(t, server.URL())

	enqueueMany(t, worker.db, prints(10)...)
	require.True(t, tasks.Enqueue(t.Context(), prints(10)...))

	stacktest.Eventually(t, func() bool { return runs.ended() == 20 })
	require.Equal(t, 1, runs.most())
}

func TestLimit_StartsWaitingWorkInTheOrderOfItsEnqueue(t *testing.T) {
	t.Parallel()
	for name, isJob := range map[string]func(number int) bool{
		"tasks":         func(int) bool { return false },
		"both backends": func(number int) bool { return number%7 < 4 }, // the sweep wakes a task after a job
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := stacktest.Redis(t)
			began, finish := make(chan int, 10), make(chan struct{})
			handler := Handle(func(_ context.Context, args printArgs) error { began <- args.Number; <-finish; return nil })
			worker := startTaskHandlers(t, server.URL(), time.Second, handler)
			startHandlers(t, worker.db, handler)
			tasks, _ := newTasks(t, server.URL())
			enqueue := func(number int) {
				if isJob(number) {
					enqueueMany(t, worker.db, printArgs{Number: number})
				} else {
					require.True(t, tasks.Enqueue(t.Context(), printArgs{Number: number}))
				}
			}
			enqueue(0)
			require.Equal(t, 0, receive(t, began))
			for number := 1; number < 8; number++ {
				enqueue(number)
				parked(t, worker.db, number)
			}
			// Who has waited for longest did not park first.
			execute(t, worker.db, `
				UPDATE key_waiters SET enqueued_at = now() - interval '1 hour'
				WHERE enqueued_at = (SELECT max(enqueued_at) FROM key_waiters)`)

			close(finish)

			for _, number := range []int{7, 1, 2, 3, 4, 5, 6} {
				require.Equal(t, number, receive(t, began))
			}
		})
	}
}

func TestLimit_WorkOfAnotherProcessWaitsForTheRun(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	began, finish := make(chan int, 2), make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(finish) }))
	handler := Handle(func(_ context.Context, args printArgs) error { began <- args.Number; <-finish; return nil })
	worker := startTaskHandlers(t, server.URL(), time.Second, handler)
	startHandlers(t, worker.db, handler)
	tasks, _ := newTasks(t, server.URL())
	enqueueMany(t, worker.db, printArgs{Number: 1})
	require.Equal(t, 1, receive(t, began))

	require.True(t, tasks.Enqueue(t.Context(), printArgs{Number: 2}))

	stacktest.Eventually(t, func() bool {
		return len(began) > 0 || count(t, worker.db, `SELECT count(*) FROM key_waiters WHERE backend = 'redis'`) == 1
	})
	require.Empty(t, began)
	finish <- struct{}{}
	require.Equal(t, 2, receive(t, began))
}

func TestLimit_WaitingWorkHoldsNoWorkerSlot(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, finish := make(chan struct{}, 30), make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(finish) }))
	greeted := make(chan string, 1)
	startHandlers(t, db, // five slots in the queue
		Handle(func(context.Context, printArgs) error { began <- struct{}{}; <-finish; return nil }),
		Handle(func(_ context.Context, args greetArgs) error { greeted <- args.Name; return nil }))
	enqueueMany(t, db, prints(20)...)
	receive(t, began)

	enqueueMany(t, db, greetArgs{Name: "ada"})

	require.Equal(t, "ada", receive(t, greeted))
}

func TestLimit_LetsCancelledJobsNotDelayTheNext(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, finish := make(chan int, 10), make(chan struct{})
	startHandlers(t, db, Handle(func(_ context.Context, args printArgs) error { began <- args.Number; <-finish; return nil }))
	enqueueMany(t, db, prints(4)[:1]...)
	require.Equal(t, 0, receive(t, began))
	enqueueMany(t, db, prints(4)[1:]...)
	parked(t, db, 3)

	execute(t, db, `UPDATE river_job SET state = 'cancelled', finalized_at = now() WHERE args->>'number' = '1'`)
	execute(t, db, `DELETE FROM river_job WHERE args->>'number' = '2'`)
	close(finish)

	require.Equal(t, 3, receive(t, began))
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM key_waiters`) == 0 })
}

func TestLimit_CancelsAJobThatParksAfterItWasCancelled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, finish := make(chan int, 10), make(chan struct{})
	t.Cleanup(sync.OnceFunc(func() { close(finish) }))
	startHandlers(t, db, Handle(func(_ context.Context, args printArgs) error { began <- args.Number; <-finish; return nil }))
	enqueueMany(t, db, prints(1)...)
	receive(t, began)

	execute(t, db, `
		INSERT INTO river_job (kind, args, max_attempts, metadata)
		SELECT kind, args, max_attempts, '{"cancel_attempted_at": "now"}' FROM river_job`)

	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'cancelled'`) == 1 })
	require.Zero(t, count(t, db, `SELECT count(*) FROM key_waiters`))
}

func TestLimit_WakesWaitingWorkWhoseHolderDied(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	holder := takeFrom(t, db, "print 1", "another worker")
	worked := make(chan int, 10)
	startHandlers(t, db, Handle(func(_ context.Context, args printArgs) error { worked <- args.Number; return nil }))
	enqueueMany(t, db, prints(2)...)
	parked(t, db, 2)

	holder.lose() // as PostgreSQL does when a worker is killed

	require.Equal(t, 0, receive(t, worked))
	require.Equal(t, 1, receive(t, worked))
}

func TestLimit_WakesWaitingTasksWhoseHolderDied(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked := make(chan int, 10)
	worker := startTaskHandlers(t, server.URL(), time.Second, Handle(func(_ context.Context, args printArgs) error {
		worked <- args.Number
		return nil
	}))
	holder := takeFrom(t, worker.db, "print 1", "another worker")
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), prints(2)...))
	parked(t, worker.db, 2)

	holder.lose()

	require.ElementsMatch(t, []int{0, 1}, []int{receive(t, worked), receive(t, worked)})
}

func TestLimit_PassesOverWokenWorkThatDoesNotCome(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	holder := takeFrom(t, db, "print 1", "another worker")
	worked := make(chan int, 10)
	startHandlers(t, db, Handle(func(_ context.Context, args printArgs) error { worked <- args.Number; return nil }))
	enqueueMany(t, db, prints(2)...)
	parked(t, db, 2)

	// The first waits in a queue without workers, as in one that is paused.
	execute(t, db, `UPDATE river_job SET queue = 'nobody' WHERE args->>'number' = '0'`)
	holder.lose()

	require.Equal(t, 1, receive(t, worked))
	execute(t, db, `UPDATE river_job SET queue = 'default' WHERE args->>'number' = '0'`)
	require.Equal(t, 0, receive(t, worked))
}

func TestLimit_DoesNotWakeTasksThatAnOperatorCancelled(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	began, finish := make(chan int, 10), make(chan struct{})
	worker := startTaskHandlers(t, server.URL(), time.Second, Handle(func(_ context.Context, args printArgs) error {
		began <- args.Number
		<-finish
		return nil
	}))
	tasks, _ := newTasks(t, server.URL())
	inspector := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, server))
	require.True(t, tasks.Enqueue(t.Context(), prints(1)...))
	receive(t, began)
	for n := 1; n < 3; n++ {
		require.True(t, tasks.Enqueue(t.Context(), printArgs{Number: n}))
		parked(t, worker.db, n)
	}
	stacktest.Eventually(t, func() bool {
		waiting, err := inspector.ListRetryTasks("default")
		return err == nil && len(waiting) == 2
	})
	waiting, err := inspector.ListRetryTasks("default")
	require.NoError(t, err)
	for _, task := range waiting {
		if string(task.Payload) == `{"number":1}` {
			require.NoError(t, inspector.ArchiveTask("default", task.ID))
		}
	}

	close(finish)

	require.Equal(t, 2, receive(t, began))
	stacktest.Eventually(t, func() bool { return count(t, worker.db, `SELECT count(*) FROM key_waiters`) == 0 })
	archived, err := inspector.ListArchivedTasks("default")
	require.NoError(t, err)
	require.Len(t, archived, 1)
	require.Empty(t, began)
}

// Private

// printArgs run one at a time.
type printArgs struct {
	Number int `json:"number"`
}

func (printArgs) Declare() Declaration {
	return Declaration{Kind: "print", Limit: Limit{Key: func(json.RawMessage) string { return "1" }}}
}

// printInPairsArgs run two at a time.
type printInPairsArgs struct {
	Number int `json:"number"`
}

func (printInPairsArgs) Declare() Declaration {
	return Declaration{Kind: "print_in_pairs", Limit: Limit{Key: func(json.RawMessage) string { return "1" }, Max: 2}}
}

func prints(many int) []Args {
	all := make([]Args, many)
	for n := range all {
		all[n] = printArgs{Number: n}
	}
	return all
}

func enqueueMany(t *testing.T, db *pgxpool.Pool, args ...Args) {
	t.Helper()
	queue := newJobs(t, db, prometheus.NewRegistry())
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error { return queue.Enqueue(t.Context(), tx, args...) }))
}

// parked waits until so much work waits for its key.
func parked(t *testing.T, db *pgxpool.Pool, waiters int) {
	t.Helper()
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM key_waiters`) == waiters })
}

// takeFrom takes a slot of a key, as a worker does that is none of the test's.
func takeFrom(t *testing.T, db *pgxpool.Pool, key, id string) *keyLock {
	t.Helper()
	other := newKeyLock(db, nil, slog.New(slog.DiscardHandler))
	taken, err := other.take(t.Context(), limit{key, 1}, taskWaiter(taskqueue.Run{ID: id}))
	require.NoError(t, err)
	require.NotNil(t, taken)
	t.Cleanup(other.lose)
	return other
}

// referee counts the runs at the same time. Each takes a moment.
type referee struct {
	mutex    sync.Mutex
	now, max int
	order    []int
	done     int
}

func (r *referee) run(number int) error {
	r.mutex.Lock()
	r.now++
	r.max = max(r.max, r.now)
	r.order = append(r.order, number)
	r.mutex.Unlock()
	<-time.After(2 * time.Millisecond)
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.now--
	r.done++
	return nil
}

func (r *referee) most() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.max
}

func (r *referee) ended() int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.done
}

// numbers are those of the runs in the order in which they began.
func (r *referee) numbers() []int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return slices.Clone(r.order)
}
