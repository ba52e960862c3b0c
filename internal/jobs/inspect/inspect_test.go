package inspect

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestList_ReturnsBothBackendsInTheSameWords(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enqueue(t, mailArgs{Order: 1, APIKey: "hunter2", Note: "hunter3"})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))

	page, err := s.inspector.List(t.Context(), Filter{})

	require.NoError(t, err)
	items := page.Items
	require.Len(t, items, 2)
	require.Equal(t, "pg:1", items[0].ID.String())
	require.Equal(t, Pending, items[0].State)
	require.JSONEq(t, `{"order": 1, "api_key": "***", "note": "***"}`, string(items[0].Args))
	require.Equal(t, jobs.Redis, items[1].ID.Backend)
	require.Equal(t, Pending, items[1].State)
	require.Equal(t, "low", items[1].Queue)
	for _, filter := range []Filter{{Backend: jobs.PG}, {Kind: "mail"}, {Queue: "critical"}, {Limit: 1}, {State: Pending, Kind: "mail"}} {
		page, err := s.inspector.List(t.Context(), filter)
		require.NoError(t, err)
		require.Len(t, page.Items, 1, filter)
	}
	for _, filter := range []Filter{{State: Failed}, {Kind: "none"}, {Queue: "default"}} {
		page, err := s.inspector.List(t.Context(), filter)
		require.NoError(t, err)
		require.Empty(t, page.Items, filter)
	}
}

func TestAct_RetriesFailedWork(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.work(t)
	s.fail.Store(true)
	s.enqueue(t, mailArgs{Order: 1})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	job, task := s.await(t, "mail", Failed), s.await(t, "wave", Failed)
	require.Equal(t, "out of paper", job.Error)
	require.Len(t, job.Errors, 1)
	require.Equal(t, "out of paper", task.Error)
	require.ErrorIs(t, s.inspector.Act(t.Context(), RunNow, job.ID), ErrState)

	s.fail.Store(false)
	require.NoError(t, s.inspector.Act(t.Context(), Retry, job.ID))
	require.NoError(t, s.inspector.Act(t.Context(), Retry, task.ID))

	s.await(t, "mail", Done)
	s.gone(t, task.ID)
}

func TestAct_RetriesATaskThatRedisNoLongerHas(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.work(t)
	s.fail.Store(true)
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	task := s.await(t, "wave", Failed)
	options, err := redis.ParseURL(s.redis.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	require.NoError(t, asynq.NewInspectorFromRedisClient(client).DeleteTask("low", task.ID.Task))

	s.fail.Store(false)
	require.NoError(t, s.inspector.Act(t.Context(), Retry, task.ID))

	require.Equal(t, "ada", <-s.waved)
}

func TestAct_ATaskKeepsItsCauseThroughTheArchive(t *testing.T) {
	t.Parallel()
	s := setup(t)
	causes := make(chan jobs.Cause, 10)
	s.handlers[1] = jobs.Handle(func(ctx context.Context, _ waveArgs) error {
		causes <- jobs.RunOf(ctx).Cause
		return jobs.Permanent(errors.New("out of paper"))
	})
	s.handlers[0] = jobs.Handle(func(ctx context.Context, _ mailArgs) error {
		require.True(t, s.tasks.Enqueue(ctx, waveArgs{Name: "ada"}))
		return nil
	})
	s.work(t)
	ctx := telemetry.WithRequestID(t.Context(), "r-1")
	require.NoError(t, pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) error { return s.jobs.Enqueue(ctx, tx, mailArgs{Order: 1}) }))
	first := <-causes
	require.Equal(t, jobs.Cause{Request: "r-1", Parent: "pg:1"}, first)
	task := s.await(t, "wave", Failed)
	require.Equal(t, []string{"r-1", "pg:1"}, []string{task.RequestID, task.Parent})

	stacktest.Eventually(t, func() bool { // asynq archives the task a moment after it failed
		return s.inspector.RetryWith(t.Context(), "ada", task.ID, []byte(`{"name": "bob"}`)) == nil
	})
	require.Equal(t, first, <-causes)
	s.await(t, "wave", Failed)
	stacktest.RedisCommand(t, s.redis, "FLUSHALL")
	require.NoError(t, s.inspector.Act(t.Context(), Retry, task.ID))

	require.Equal(t, first, <-causes)
}

func TestAct_CancelsAndDiscards(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enqueue(t, mailArgs{Order: 1})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	job, task := s.await(t, "mail", Pending), s.await(t, "wave", Pending)

	require.NoError(t, s.inspector.Act(t.Context(), Cancel, job.ID))
	require.NoError(t, s.inspector.Act(t.Context(), Cancel, task.ID))
	require.Equal(t, Cancelled, s.await(t, "mail", Cancelled).State)
	require.Equal(t, Cancelled, s.await(t, "wave", Cancelled).State)
	for _, state := range []State{Failed, Pending} {
		page, err := s.inspector.List(t.Context(), Filter{State: state})
		require.NoError(t, err)
		require.Empty(t, page.Items, state)
	}
	queues, err := s.inspector.Queues(t.Context())
	require.NoError(t, err)
	counts := map[string][2]int{}
	for _, queue := range queues {
		counts[string(queue.Backend)+" "+queue.Name] = [2]int{queue.Counts[Failed], queue.Counts[Cancelled]}
	}
	require.Equal(t, [2]int{0, 1}, counts["pg critical"])
	require.Equal(t, [2]int{0, 1}, counts["redis low"])

	require.NoError(t, s.inspector.Act(t.Context(), Discard, job.ID))
	require.NoError(t, s.inspector.Act(t.Context(), Discard, task.ID))
	s.gone(t, job.ID)
	s.gone(t, task.ID)
	require.ErrorIs(t, s.inspector.Act(t.Context(), Discard, job.ID), ErrNotFound)
}

func TestAct_RetriesWorkThatWasCancelledWhileItRan(t *testing.T) {
	t.Parallel()
	s := setup(t)
	began, again := make(chan struct{}, 10), make(chan struct{})
	run := func(ctx context.Context) error {
		select {
		case <-again:
			return nil
		default:
		}
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	s.handlers = jobs.Handlers{
		jobs.Handle(func(ctx context.Context, _ mailArgs) error { return run(ctx) }),
		jobs.Handle(func(ctx context.Context, _ waveArgs) error { return run(ctx) }),
	}
	s.work(t)
	s.enqueue(t, mailArgs{Order: 1})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	<-began
	<-began
	job, task := s.await(t, "mail", Running), s.await(t, "wave", Running)

	require.NoError(t, s.inspector.Act(t.Context(), Cancel, job.ID))
	stacktest.Eventually(t, func() bool { // asynq subscribes to cancellations a moment after it starts
		_ = s.inspector.Act(t.Context(), Cancel, task.ID)
		shown, err := s.inspector.Show(t.Context(), task.ID)
		return err == nil && shown.State == Cancelled
	})
	s.await(t, "mail", Cancelled)
	close(again)
	require.NoError(t, s.inspector.Act(t.Context(), Retry, job.ID))
	require.NoError(t, s.inspector.Act(t.Context(), Retry, task.ID))

	s.await(t, "mail", Done)
	s.gone(t, task.ID)
}

func TestAct_ADiscardedJobHasNoDuplicates(t *testing.T) {
	t.Parallel()
	s := setup(t)
	enqueued := func() (jobs int) {
		s.enqueue(t, onceAYear{})
		require.NoError(t, s.db.QueryRow(t.Context(), `SELECT count(*) FROM river_job`).Scan(&jobs))
		return jobs
	}
	require.Equal(t, 1, enqueued())
	require.Equal(t, 1, enqueued(), "unique")

	require.NoError(t, s.inspector.Act(t.Context(), Discard, s.await(t, "once_a_year", Pending).ID))
	require.Equal(t, 1, enqueued(), "the discarded one will not run")
	_, err := s.inspector.ActOnAll(t.Context(), Bulk{Action: Discard, Filter: Filter{Kind: "once_a_year"}})
	require.NoError(t, err)
	require.Equal(t, 1, enqueued())

	s.execute(t, `UPDATE river_job SET state = 'completed', finalized_at = now()`)
	require.NoError(t, s.inspector.Act(t.Context(), Discard, s.await(t, "once_a_year", Done).ID))
	require.Zero(t, enqueued(), "the discarded one was done")
}

func TestPause_PausesAQueueOfEitherBackend(t *testing.T) {
	t.Parallel()
	s := setup(t)
	for range 2 { // the second call changes nothing
		require.NoError(t, s.inspector.Pause(t.Context(), jobs.PG, "critical"))
		require.NoError(t, s.inspector.Pause(t.Context(), jobs.Redis, "low"))
	}
	s.work(t)
	s.enqueue(t, mailArgs{Order: 1})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))

	queues, err := s.inspector.Queues(t.Context())
	require.NoError(t, err)
	paused := map[string]int{}
	for _, queue := range queues {
		if queue.Paused {
			paused[string(queue.Backend)+" "+queue.Name] = queue.Counts[Pending]
		}
	}
	require.Equal(t, map[string]int{"pg critical": 1, "redis low": 1}, paused)

	for range 2 {
		require.NoError(t, s.inspector.Resume(t.Context(), jobs.PG, "critical"))
		require.NoError(t, s.inspector.Resume(t.Context(), jobs.Redis, "low"))
	}
	s.await(t, "mail", Done)
	require.Equal(t, "ada", <-s.waved)
	require.ErrorContains(t, s.inspector.Pause(t.Context(), jobs.PG, "urgent"), "there is no queue")
	workers, err := s.inspector.Workers(t.Context())
	require.NoError(t, err)
	require.Len(t, workers, 2)
}

func TestPause_IsShownOfTheWorkThatItHoldsBack(t *testing.T) {
	t.Parallel()
	s := setup(t)
	require.NoError(t, s.inspector.PauseKind(t.Context(), jobs.PG, "mail"))
	require.NoError(t, s.inspector.PauseKind(t.Context(), jobs.Redis, "wave"))
	s.work(t)
	s.enqueue(t, mailArgs{Order: 1})
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))

	job, task := s.await(t, "mail", Scheduled), s.await(t, "wave", Retrying)
	require.Equal(t, []Pause{KindPaused, KindPaused}, []Pause{job.Paused, task.Paused})
	for _, item := range s.all(t, Filter{}) {
		require.Equal(t, KindPaused, item.Paused, item.ID)
	}
	require.NoError(t, s.inspector.ResumeKind(t.Context(), jobs.PG, "mail"))
	require.NoError(t, s.inspector.ResumeKind(t.Context(), jobs.Redis, "wave"))
	require.Empty(t, s.await(t, "mail", Done).Paused)
	require.Equal(t, "ada", <-s.waved)

	require.NoError(t, s.inspector.Pause(t.Context(), jobs.Redis, "low"))
	require.True(t, s.tasks.Enqueue(t.Context(), waveArgs{Name: "ada"}))
	require.Equal(t, QueuePaused, s.await(t, "wave", Pending).Paused)
	s.execute(t, `INSERT INTO job_batches (name, total, paused_at) VALUES ('letters', 1, now())`)
	s.execute(t, `
		INSERT INTO river_job (kind, args, max_attempts, state, metadata)
		SELECT 'mail', '{}', 5, 'pending', jsonb_build_object('slipway:batch', id::text) FROM job_batches`)
	require.Equal(t, BatchPaused, s.await(t, "mail", Scheduled).Paused)
}

func TestList_ReturnsAnErrorWhenRedisIsUnavailable(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.enqueue(t, mailArgs{Order: 1})
	require.NoError(t, s.redis.Kill())

	page, err := s.inspector.List(t.Context(), Filter{})

	require.ErrorContains(t, err, "list tasks")
	require.Len(t, page.Items, 1)
	require.NoError(t, s.redis.Restart(t.Context()))
}

func TestParseID_RefusesOtherText(t *testing.T) {
	t.Parallel()

	for _, text := range []string{"", "1", "pg", "pg:", "pg:x", "pg:-1", "redis:low", "redis::x", "other:1"} {
		_, err := ParseID(text)
		require.ErrorContains(t, err, "is no id", text)
	}
	id, err := ParseID("redis:low:recurring:tick:2026-11-23T00:00:00.000000Z")
	require.NoError(t, err)
	require.Equal(t, "recurring:tick:2026-11-23T00:00:00.000000Z", id.Task)
}

// Private

type mailArgs struct {
	Order  int    `json:"order"`
	APIKey string `json:"api_key"`
	Note   string `json:"note"`
}

func (mailArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "mail", Queue: jobs.Critical, Attempts: 1, Masked: []string{"note"}}
}

type waveArgs struct {
	Name string `json:"name"`
}

func (waveArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "wave", Queue: jobs.Low, Attempts: 1, Durable: false, Unique: jobs.Uniqueness{}}
}

type shoutArgs struct {
	Secret string `json:"secret"`
}

func (shoutArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "shout", Queue: jobs.Critical, Attempts: 7, Timeout: 2 * time.Minute, Durable: true}
}

// onceAYear is unique for longer than a test.
type onceAYear struct{}

func (onceAYear) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "once_a_year", Unique: jobs.Uniqueness{Within: 365 * 24 * time.Hour}}
}

type store struct {
	db        *pgxpool.Pool
	redis     *devstack.Redis
	jobs      *jobs.Jobs
	tasks     *jobs.Tasks
	inspector *Inspector
	handlers  jobs.Handlers
	fail      atomic.Bool
	ran       atomic.Int64 // runs of mail and wave
	waved     chan string
}

func setup(t *testing.T) *store {
	t.Helper()
	s := &store{db: pgtest.New(t, migrations), redis: stacktest.Redis(t), waved: make(chan string, 10)}
	var err error
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	s.jobs, err = jobs.NewJobs(s.db, metrics)
	require.NoError(t, err)
	guard := failopen.NewGuard(failopen.Options{URL: s.redis.URL(), Timeout: time.Second}, newReporter())
	s.tasks, err = jobs.NewTasks(guard, s.jobs, metrics)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.tasks.Close()) })
	work := func(name string) error {
		s.ran.Add(1)
		if s.fail.Load() {
			return errors.New("out of paper")
		}
		if name != "" {
			s.waved <- name
		}
		return nil
	}
	s.handlers = jobs.Handlers{
		jobs.Handle(func(context.Context, mailArgs) error { return work("") }),
		jobs.Handle(func(_ context.Context, args waveArgs) error { return work(args.Name) }),
		jobs.Handle(func(context.Context, shoutArgs) error { return nil }),
	}
	s.inspector, err = New(Options{DB: s.db, Tasks: s.tasks, Kinds: s.handlers})
	require.NoError(t, err)
	return s
}

// work runs a worker of each backend until the test ends.
func (s *store) work(t *testing.T) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	pg, err := jobs.NewPGWorker(s.db, s.handlers[:1], jobs.PGWorkerOptions{
		Concurrency: map[jobs.Queue]int{jobs.Critical: 2, jobs.Default: 2, jobs.Low: 2}, ShutdownTimeout: time.Second,
		Log: log, Metrics: jobs.NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	tasks, err := jobs.NewRedisWorker(s.db, s.handlers[1:], jobs.RedisWorkerOptions{
		URL: s.redis.URL(), PoolSize: 5, Servers: 1, Concurrency: 2, CheckInterval: 10 * time.Millisecond, ShutdownTimeout: time.Second,
		Log: log, Metrics: jobs.NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = pg.Run(ctx) })
	running.Go(func() { _ = tasks.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	stacktest.Eventually(t, func() bool {
		workers, err := s.inspector.Workers(t.Context())
		return err == nil && len(workers) == 2 && pg.Started() && tasks.Started()
	})
}

func (s *store) enqueue(t *testing.T, args jobs.Args) {
	t.Helper()
	require.NoError(t, pgx.BeginFunc(t.Context(), s.db, func(tx pgx.Tx) error { return s.jobs.Enqueue(t.Context(), tx, args) }))
}

// await waits for the one job or task of a kind to be in a state.
func (s *store) await(t *testing.T, kind string, state State) Item {
	t.Helper()
	var found []Item
	stacktest.Eventually(t, func() bool {
		page, err := s.inspector.List(t.Context(), Filter{Kind: kind, State: state})
		found = page.Items
		return err == nil && len(found) == 1
	}, "%s is %s", kind, state)
	shown, err := s.inspector.Show(t.Context(), found[0].ID)
	require.NoError(t, err)
	return shown
}

func (s *store) gone(t *testing.T, id ID) {
	t.Helper()
	stacktest.Eventually(t, func() bool {
		_, err := s.inspector.Show(t.Context(), id)
		return errors.Is(err, ErrNotFound)
	})
}

func newReporter() *telemetry.Reporter {
	return telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

var migrations fs.FS = fstest.MapFS{"00001_nothing.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}
