package jobs

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/postgres/pgtest"
)

func TestCheck_NamesEveryFaultOfADeclaration(t *testing.T) {
	t.Parallel()
	both := Uniqueness{Waiting: true, Within: time.Hour}
	handler := func(d Declaration) Handler { return Handler{Declaration: d.withDefaults()} }

	require.NoError(t, Handlers{handler(Declaration{Kind: "greet"})}.Check(PG, StandardQueues))
	for fault, declaration := range map[string]Declaration{
		`a kind without a name: Kind "" must begin with a lower-case letter`:       {},
		`Send Mail: Kind "Send Mail" must begin`:                                   {Kind: "Send Mail"},
		`greet: there is no queue "lo": it is one of [critical default low]`:       {Kind: "greet", Queue: "lo"},
		`greet: the queue "Lo w" must begin with a lower-case letter`:              {Kind: "greet", Queue: "Lo w"},
		`greet: Priority is 9: it must be 1, the first, to 4`:                      {Kind: "greet", Priority: 9},
		`greet: Attempts is -3: it must be at least 1`:                             {Kind: "greet", Attempts: -3},
		`greet: Timeout is -1s: it must not be negative`:                           {Kind: "greet", Timeout: -time.Second},
		`greet: Unique.Within is -1s: it must not be negative`:                     {Kind: "greet", Unique: Uniqueness{Within: -time.Second}},
		`greet: Unique has both Waiting and Within: choose one`:                    {Kind: "greet", Unique: both},
		`greet: Unique.By needs Waiting or Within`:                                 {Kind: "greet", Unique: Uniqueness{By: []string{"name"}}},
		`greet: RetryOn[0] names no error`:                                         {Kind: "greet", RetryOn: []RetryRule{{Attempts: 3}}},
		`greet: Durable is for tasks: a job is never lost anyway`:                  {Kind: "greet", Durable: true},
		`greet: Limit.Max needs Limit.Key: runs with an equal key share the limit`: {Kind: "greet", Limit: Limit{Max: 2}},
		`greet: Limit.Max is -1: it must not be negative`:                          {Kind: "greet", Limit: Limit{Max: -1}},
	} {
		require.ErrorContains(t, Handlers{handler(declaration)}.Check(PG, StandardQueues), fault)
	}
	err := Handlers{handler(Declaration{Kind: "greet"}), handler(Declaration{Kind: "greet", Attempts: -1})}.Check(PG, StandardQueues)
	require.ErrorContains(t, err, "greet is declared twice")
	require.ErrorContains(t, err, "Attempts is -1")
	err = Handlers{handler(Declaration{Kind: "greet", Priority: 2})}.Check(Redis, StandardQueues)
	require.ErrorContains(t, err, "Priority is for jobs")
}

func TestEnqueue_RefusesAKindWithoutAHandler(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	tasks, _ := newTasks(t, server.URL())
	queue.Know(Handlers{Handle(func(context.Context, greetArgs) error { return nil })})
	tasks.Know(Handlers{Handle(func(context.Context, waveTask) error { return nil })})

	require.NoError(t, queue.EnqueueNow(t.Context(), greetArgs{Name: "ada"}))
	require.ErrorContains(t, queue.EnqueueNow(t.Context(), waveTask{Name: "ada"}), "wave has no handler among the jobs of this application")
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	require.False(t, tasks.Enqueue(t.Context(), greetArgs{Name: "ada"}))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job`))
}

func TestEnqueue_RefusesArgsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	tasks := newDurableTasks(t, db, server.URL())
	plain, registry := newTasks(t, server.URL())
	sized := func(bytes int) string { return strings.Repeat("x", bytes-len(`{"name":""}`)) }
	enqueueDurable := func(args Args) error {
		return pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
			_, err := tasks.EnqueueTx(t.Context(), tx, args)
			return err
		})
	}

	for size, shown := range map[int]string{3 << 20: "3.0 MB", MaxArgs + 1: "1.1 MB"} {
		refusal := "are " + shown + ", more than the allowed 1 MB: store the data and pass its id"
		require.ErrorContains(t, queue.EnqueueNow(t.Context(), greetArgs{Name: sized(size)}), "the arguments of greet "+refusal)
		require.ErrorContains(t, enqueueDurable(namedParcel{Name: sized(size)}), "the arguments of named_parcel "+refusal)
		require.False(t, plain.Enqueue(t.Context(), greetArgs{Name: sized(size)}, greetArgs{Name: "ada"}))
	}
	require.Zero(t, count(t, db, `SELECT count(*) FROM river_job`))
	require.Equal(t, map[string]float64{"redis greet dropped": 2, "redis greet ok": 2}, counts(t, registry, "app_jobs_enqueue_total"))

	require.NoError(t, queue.EnqueueNow(t.Context(), greetArgs{Name: sized(MaxArgs)}))
	require.NoError(t, enqueueDurable(namedParcel{Name: sized(MaxArgs)}))
	require.True(t, plain.Enqueue(t.Context(), greetArgs{Name: sized(MaxArgs)}))
}

func TestEnqueue_TasksInBulkDoNotEndWithTheBudgetOfARequest(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks, registry := newTasks(t, server.URL())
	all := make([]Args, 20_000)
	for i := range all {
		all[i] = greetArgs{Name: "ada"}
	}

	request := failopen.WithBudget(t.Context(), 50*time.Millisecond)
	require.True(t, tasks.Enqueue(request, all...))

	require.Equal(t, map[string]float64{"redis greet ok": 20_000}, counts(t, registry, "app_jobs_enqueue_total"))
}

func TestWorker_ForOneQueueAlone(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	tasks, _ := newTasks(t, server.URL())
	handlers := Handlers{
		Handle(func(context.Context, greetArgs) error { return nil }), Handle(func(context.Context, imageArgs) error { return nil }),
	}
	require.Equal(t, StandardQueues.And("images"), handlers.Queues())
	require.NoError(t, queue.EnqueueNow(t.Context(), greetArgs{Name: "ada"}, imageArgs{}))
	require.True(t, tasks.Enqueue(t.Context(), greetArgs{Name: "ada"}, imageArgs{}))

	ofJobs, err := NewPGWorker(db, handlers, PGWorkerOptions{
		Concurrency: map[Queue]int{"images": 2}, ShutdownTimeout: time.Second,
		Log: (&journal{}).logger(), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	ofTasks, err := NewRedisWorker(db, handlers, RedisWorkerOptions{
		Queues: Queues{"images"}, URL: server.URL(), Servers: 1, Concurrency: 2,
		CheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Second,
		Log: (&journal{}).logger(), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: newReporter(),
	})
	require.NoError(t, err)
	t.Cleanup(run(t, &journal{}, ofJobs.Run).stop)
	t.Cleanup(run(t, &journal{}, ofTasks.Run).stop)

	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed' AND queue = 'images'`) == 1
	})
	client := stacktest.RedisClient(t, server)
	stacktest.Eventually(t, func() bool { return client.Get(t.Context(), "asynq:{images}:processed").Val() == "1" })
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND queue = 'default'`))
	require.EqualValues(t, 1, client.LLen(t.Context(), "asynq:{default}:pending").Val())
	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM job_processes WHERE queues = '{images}'`))
}

// Private

// imageArgs are in a queue of the application's own.
type imageArgs struct{}

func (imageArgs) Declare() Declaration { return Declaration{Kind: "resize_image", Queue: "images"} }
