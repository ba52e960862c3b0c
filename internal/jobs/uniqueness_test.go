package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestUnique_JobsWithinATime(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	newest := func(args yearlyArgs) (id int64) {
		require.NoError(t, queue.EnqueueNow(t.Context(), args))
		require.NoError(t, db.QueryRow(t.Context(), `SELECT max(id) FROM river_job`).Scan(&id))
		return id
	}
	first := newest(yearlyArgs{Store: 1})

	require.Equal(t, first, newest(yearlyArgs{Store: 1}), "while the other waits")
	execute(t, db, `DELETE FROM river_job`)
	require.NoError(t, queue.EnqueueNow(t.Context(), yearlyArgs{Store: 1}))
	require.Zero(t, count(t, db, `SELECT count(*) FROM river_job`), "also after the other was done and forgotten")
	second := newest(yearlyArgs{Store: 2})
	for _, state := range []string{"discarded", "cancelled"} {
		execute(t, db, `UPDATE river_job SET state = $1::river_job_state, finalized_at = now() WHERE id = $2`, state, second)
		third := newest(yearlyArgs{Store: 2})
		require.Greater(t, third, second, "the other is %s and will not run", state)
		second = third
	}
	execute(t, db, `UPDATE unique_jobs SET until = now()`)
	require.Greater(t, newest(yearlyArgs{Store: 2}), second, "the time is over")
}

func TestUnique_JobsByChosenArgs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())

	require.NoError(t, queue.EnqueueNow(t.Context(), indexArgs{Product: 1, Reason: "new"}))
	require.NoError(t, queue.EnqueueNow(t.Context(), indexArgs{Product: 1, Reason: "changed"}, indexArgs{Product: 2, Reason: "new"}))
	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM river_job`))
	execute(t, db, `UPDATE river_job SET state = 'completed', finalized_at = now()`)
	require.NoError(t, queue.EnqueueNow(t.Context(), indexArgs{Product: 1, Reason: "changed"}))

	require.Equal(t, 3, count(t, db, `SELECT count(*) FROM river_job`))
}

func TestUnique_JobsInBulkTakeAFewStatements(t *testing.T) {
	t.Parallel()
	db, statements := countingPool(t)
	registry := prometheus.NewRegistry()
	queue := newJobs(t, db, registry)
	var all []Args
	for i := range 3000 {
		all = append(all, indexArgs{Product: i % 1000}, yearlyArgs{Store: i % 500}, greetArgs{Name: "ada"})
	}

	require.NoError(t, queue.EnqueueNow(t.Context(), all...))
	require.LessOrEqual(t, statements.Load(), int64(20), "of 9000 jobs")

	require.Equal(t, 1000+500+3000, count(t, db, `SELECT count(*) FROM river_job`))
	require.Equal(t, map[string]float64{
		"pg index ok": 1000, "pg index duplicate": 2000, "pg yearly ok": 500, "pg yearly duplicate": 2500, "pg greet ok": 3000,
	}, counts(t, registry, "app_jobs_enqueue_total"))
	require.Equal(t, 500, count(t, db, `SELECT count(*) FROM unique_jobs JOIN river_job ON river_job.id = job_id AND kind = 'yearly'`))
}

func TestUnique_OneOfManyTransactionsEnqueuesAJob(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	var all sync.WaitGroup
	results := make(chan error, 20)

	for n := range 20 {
		all.Go(func() {
			// Half of them claim the keys in the other order, and half are rolled back.
			args := []Args{yearlyArgs{Store: 1}, yearlyArgs{Store: 2}, indexArgs{Product: 1}}
			if n%2 == 0 {
				args[0], args[1] = args[1], args[0]
			}
			results <- pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
				if err := queue.Enqueue(t.Context(), tx, args...); err != nil {
					return err
				}
				if n%4 < 2 {
					return errUndone
				}
				return nil
			})
		})
	}
	all.Wait()
	close(results)

	for err := range results {
		if !errors.Is(err, errUndone) {
			require.NoError(t, err)
		}
	}
	require.Equal(t, 3, count(t, db, `SELECT count(*) FROM river_job`))
}

func TestUnique_ATaskWhoseTwinFailedForGoodRuns(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	ran := make(chan int, 10)
	work := Handle(func(_ context.Context, args onceTask) error {
		ran <- args.Number
		return errors.New("out of ink")
	})
	worker := startTaskHandlers(t, server.URL(), time.Second, work)
	tasks, _ := newTasks(t, server.URL())
	tasks.jobs = newJobs(t, worker.db, prometheus.NewRegistry())
	enqueue := func() {
		require.NoError(t, pgx.BeginFunc(t.Context(), worker.db, func(tx pgx.Tx) error {
			_, err := tasks.EnqueueTx(t.Context(), tx, onceTask{Number: 1})
			return err
		}))
	}
	startOutbox(t, worker.db, tasks)

	for n := range 3 {
		enqueue()
		hurryUntil(t, worker.db, func() bool {
			return count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE kind = 'once'`) == n+1
		})
		require.Equal(t, 1, receive(t, ran))
	}
}

func TestUnique_TasksByTheStateOfTheirTwin(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	client := stacktest.RedisClient(t, server)
	tasks, registry := newTasks(t, server.URL())
	accepted := func() float64 { return counts(t, registry, "app_jobs_enqueue_total")["redis index ok"] }
	enqueue := func(product int) bool {
		before := accepted()
		require.True(t, tasks.Enqueue(t.Context(), indexArgs{Product: product, Reason: fmt.Sprint(before)}))
		return accepted() > before
	}
	for state, isTwin := range map[string]bool{
		"pending": true, "active": true, "scheduled": true, "retry": true, "archived": false, "completed": false,
	} {
		client.FlushDB(t.Context())
		require.True(t, enqueue(7), state)
		twin, err := client.Keys(t.Context(), "asynq:{default}:t:*").Result()
		require.NoError(t, err)
		require.Len(t, twin, 1)
		require.NoError(t, client.HSet(t.Context(), twin[0], "state", state).Err())

		require.Equal(t, !isTwin, enqueue(7), "the other is %s", state)
		require.True(t, enqueue(8), "another product")
	}
}

func TestUnique_AClaimEndsWithItsTask(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	client := stacktest.RedisClient(t, server)
	done := make(chan int, 10)
	startTaskHandlers(t, server.URL(), time.Second, Handle(func(_ context.Context, args indexArgs) error {
		done <- args.Product
		return nil
	}))
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), indexArgs{Product: 7}))
	require.Equal(t, 7, receive(t, done))

	stacktest.Eventually(t, func() bool { return len(client.Keys(t.Context(), "*unique:*").Val()) == 0 })
}

func TestEnqueueRun_IsUniqueToo(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	handler := Handle(func(context.Context, indexArgs) error { return nil })
	enqueue := func(run string) (enqueued bool) {
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) (err error) {
			enqueued, err = queue.EnqueueRun(t.Context(), tx, NamedRun{Name: run, Handler: handler, Queue: Default, Args: []byte(`{"product": 1}`)})
			return err
		}))
		return enqueued
	}

	require.True(t, enqueue("manual:1"))
	require.False(t, enqueue("manual:2"))
}

func TestRunUnfinished_ARunThatWaitsForItsNextAttemptDoesNotCount(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	handler := Handle(func(context.Context, greetArgs) error { return nil })
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		_, err := queue.EnqueueRun(t.Context(), tx, NamedRun{Name: "recurring:greet:1", Handler: handler, Queue: Default, Args: []byte(`{}`)})
		return err
	}))
	unfinished := func(state string) (unfinished bool) {
		execute(t, db, `UPDATE river_job SET state = $1::river_job_state`, state)
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) (err error) {
			unfinished, err = queue.RunUnfinished(t.Context(), tx, "recurring:greet:1")
			return err
		}))
		return unfinished
	}

	require.True(t, unfinished("available"))
	require.True(t, unfinished("running"))
	require.False(t, unfinished("retryable"), "it may wait for days")
}

// Private

var errUndone = errors.New("undone")

// countingPool returns a pool, and how many statements it has sent.
func countingPool(t *testing.T) (*pgxpool.Pool, *atomic.Int64) {
	t.Helper()
	config, err := pgxpool.ParseConfig(pgtest.URL(t, migrations))
	require.NoError(t, err)
	tracer := &statementCounter{}
	config.ConnConfig.Tracer = tracer
	db, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db, &tracer.sent
}

// statementCounter is a tracer of pgx.
type statementCounter struct{ sent atomic.Int64 }

func (s *statementCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.sent.Add(1)
	return ctx
}

func (s *statementCounter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceBatchStartData) context.Context {
	s.sent.Add(int64(data.Batch.Len()))
	return ctx
}

func (s *statementCounter) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	s.sent.Add(1)
	return ctx
}

func (s *statementCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData)       {}
func (s *statementCounter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData)   {}
func (s *statementCounter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)       {}
func (s *statementCounter) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}

// indexArgs are unique by their product while they wait.
type indexArgs struct {
	Product int    `json:"product"`
	Reason  string `json:"reason"`
}

func (indexArgs) Declare() Declaration {
	return Declaration{Kind: "index", Unique: Uniqueness{Waiting: true, By: []string{"product"}}}
}

// onceTask is durable, unique and fails for good at once.
type onceTask struct {
	Number int `json:"number"`
}

func (onceTask) Declare() Declaration {
	return Declaration{Kind: "once", Durable: true, Attempts: 1, Unique: Uniqueness{Waiting: true}}
}
