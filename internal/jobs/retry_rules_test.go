package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestRetryOn_DecidesByTheError(t *testing.T) {
	t.Parallel()
	declaration := payArgs{}.Declare().withDefaults()

	for _, row := range []struct {
		err       error
		attempt   int
		permanent bool
	}{
		{nil, 1, false},
		{errors.New("out of paper"), 2, false},
		{errors.New("out of paper"), 3, true},
		{errDeclined, 1, true},
		{fmt.Errorf("pay: %w", errDeclined), 1, true},
		{errBusy, 5, false},
		{fmt.Errorf("pay: %w", errBusy), 6, true},
		{Snooze(time.Second, "later"), 30, false},
	} {
		require.Equal(t, row.permanent, isPermanent(declaration.judge(row.err, row.attempt)), "%v in attempt %d", row.err, row.attempt)
	}
	require.Equal(t, time.Hour, declaration.ruleFor(errBusy).Backoff(1))
	require.Equal(t, time.Minute, declaration.ruleFor(errors.New("out of paper")).Backoff(1))
	require.Equal(t, 6, declaration.mostAttempts())
}

func TestRetryOn_HoldsInBothBackends(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	failures := map[string]error{"declined": errDeclined, "busy": errBusy, "other": errors.New("out of paper")}
	handler := Handle(func(_ context.Context, args payArgs) error { return failures[args.By] })
	worker := startTaskHandlers(t, server.URL(), time.Second, handler)
	startHandlers(t, worker.db, handler)
	queue := newJobs(t, worker.db, prometheus.NewRegistry())
	tasks, _ := newTasks(t, server.URL())
	all := []Args{payArgs{"declined"}, payArgs{"busy"}, payArgs{"other"}}

	require.NoError(t, queue.EnqueueNow(t.Context(), all...))
	require.True(t, tasks.Enqueue(t.Context(), all...))

	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `
			SELECT count(*) FROM river_job WHERE state = 'discarded' AND args->>'by' = 'declined' AND attempt = 1`) == 1 &&
			count(t, worker.db, `
				SELECT count(*) FROM river_job
				WHERE state = 'retryable' AND attempt = 1 AND max_attempts = 6
				  AND scheduled_at - attempted_at BETWEEN interval '59 minutes' AND interval '61 minutes' AND args->>'by' = 'busy'`) == 1 &&
			count(t, worker.db, `
				SELECT count(*) FROM river_job
				WHERE state = 'retryable' AND scheduled_at - attempted_at < interval '2 minutes' AND args->>'by' = 'other'`) == 1
	})
	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE attempts = 1 AND error = 'declined'`) == 1
	})
	client := stacktest.RedisClient(t, server)
	stacktest.Eventually(t, func() bool { return client.ZCard(t.Context(), "asynq:{default}:retry").Val() == 2 })
	waiting, err := client.ZRangeWithScores(t.Context(), "asynq:{default}:retry", 0, -1).Result()
	require.NoError(t, err)
	require.InDelta(t, 59*60, waiting[1].Score-waiting[0].Score, 60)
}

// Only a run whose own context was cancelled is repeated at once.
func TestBackoff_HoldsForARunThatGaveUpARequestOfItsOwn(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	var runs atomic.Int64
	handler := Handle(func(context.Context, payArgs) error {
		runs.Add(1)
		return fmt.Errorf("ask the bank: %w: %w", errBusy, context.Canceled)
	})
	worker := startTaskHandlers(t, server.URL(), time.Second, handler)
	startHandlers(t, worker.db, handler)
	tasks, _ := newTasks(t, server.URL())

	require.NoError(t, newJobs(t, worker.db, prometheus.NewRegistry()).EnqueueNow(t.Context(), payArgs{"card"}))
	require.True(t, tasks.Enqueue(t.Context(), payArgs{"card"}))

	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `
			SELECT count(*) FROM river_job
			WHERE state = 'retryable' AND scheduled_at - attempted_at BETWEEN interval '59 minutes' AND interval '61 minutes'`) == 1
	})
	client := stacktest.RedisClient(t, server)
	stacktest.Eventually(t, func() bool {
		due := client.ZRangeWithScores(t.Context(), "asynq:{default}:retry", 0, -1).Val()
		return len(due) == 1 && due[0].Score > float64(time.Now().Add(50*time.Minute).Unix())
	})
	require.EqualValues(t, 2, runs.Load())
}

func TestRunOf_SaysWhichRunThisIs(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	runs := make(chan Run, 10)
	handler := Handle(func(ctx context.Context, _ greetArgs) error {
		runs <- RunOf(ctx)
		return nil
	})
	worker := startTaskHandlers(t, server.URL(), time.Second, handler)
	startHandlers(t, worker.db, handler)
	tasks, _ := newTasks(t, server.URL())

	require.NoError(t, newJobs(t, worker.db, prometheus.NewRegistry()).EnqueueNow(t.Context(), greetArgs{Name: "ada"}))
	ofJob := receive(t, runs)
	require.True(t, tasks.Enqueue(t.Context(), greetArgs{Name: "ada"}))
	ofTask := receive(t, runs)

	require.WithinDuration(t, time.Now(), ofJob.EnqueuedAt, time.Minute)
	require.WithinDuration(t, time.Now(), ofTask.EnqueuedAt, time.Minute)
	require.NotEmpty(t, ofTask.ID)
	ofJob.EnqueuedAt, ofTask.EnqueuedAt, ofTask.ID = time.Time{}, time.Time{}, ""
	require.Equal(t, Run{Backend: PG, ID: "1", Kind: "greet", Queue: Default, Attempt: 1}, ofJob)
	require.Equal(t, Run{Backend: Redis, Kind: "greet", Queue: Default, Attempt: 1}, ofTask)
	require.Zero(t, RunOf(t.Context()))
}

func TestUse_RunsMiddlewareAroundEachRun(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	steps := make(chan string, 20)
	step := func(name string) Middleware {
		return func(ctx context.Context, run Run, next func(context.Context) error) error {
			steps <- name + " before " + run.Kind + " on " + string(RunOf(ctx).Backend)
			err := next(ctx)
			steps <- name + " after"
			return err
		}
	}
	handlers := Handlers{Handle(func(context.Context, greetArgs) error { return nil })}.Use(step("outer"), step("inner"))
	worker := startTaskHandlers(t, server.URL(), time.Second, handlers...)
	startHandlers(t, worker.db, handlers...)
	tasks, _ := newTasks(t, server.URL())
	requireSteps := func(backend string) {
		t.Helper()
		for _, expected := range []string{"outer before greet on " + backend, "inner before greet on " + backend, "inner after", "outer after"} {
			require.Equal(t, expected, receive(t, steps))
		}
	}

	require.NoError(t, newJobs(t, worker.db, prometheus.NewRegistry()).EnqueueNow(t.Context(), greetArgs{Name: "ada"}))
	requireSteps("pg")
	require.True(t, tasks.Enqueue(t.Context(), greetArgs{Name: "ada"}))
	requireSteps("redis")
}

func TestUnreadable_WorkWaitsForAReleaseThatCanReadIt(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	var ran atomic.Int32
	old := Handle(func(context.Context, oldParcel) error { ran.Add(1); return nil })
	worker := startTaskHandlers(t, server.URL(), time.Second, old)
	pg := newHandlers(t, worker.db, time.Second, old)
	tasks, _ := newTasks(t, server.URL())
	two := []Args{newParcel{Weight: "2 kg"}, newParcel{Weight: "3 kg"}}

	require.NoError(t, newJobs(t, worker.db, prometheus.NewRegistry()).EnqueueNow(t.Context(), two...))
	require.True(t, tasks.Enqueue(t.Context(), two...))

	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `
			SELECT count(*) FROM river_job
			WHERE state = 'scheduled' AND attempt = 0 AND scheduled_at > now() + interval '20 seconds'`) == 2
	})
	client := stacktest.RedisClient(t, server)
	stacktest.Eventually(t, func() bool { return client.ZCard(t.Context(), "asynq:{default}:retry").Val() == 2 })
	for _, log := range []*journal{worker.log, pg.log} {
		lines := linesWith(log, "this one cannot read its args")
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], "level=WARN")
		require.Contains(t, lines[0], "kind=weigh_parcel")
	}
	require.Zero(t, ran.Load())

	waited := Run{EnqueuedAt: time.Now().Add(-25 * time.Hour)}
	require.True(t, isPermanent(old.waitForReader(waited, &unreadableError{errors.New("weight is text")})), "no release reads it any more")
}

func TestPGWorker_SaysWhichKindsAreUnknown(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	require.NoError(t, queue.EnqueueNow(t.Context(), oldParcel{}, oldParcel{}, hourArgs{}, greetArgs{Name: "ada"}, imageArgs{}))

	worker := newPGWorker(t, db, time.Second, func(context.Context, greetArgs) error { return nil })

	stacktest.Eventually(t, func() bool { return len(linesWith(worker.log, "no handler of their kind")) == 2 })
	require.Contains(t, worker.log.String(), "kind=weigh_parcel")
	require.Contains(t, worker.log.String(), "kind=hour")
	require.NotContains(t, worker.log.String(), "kind=resize_image", "its queue is another worker's")
	require.Equal(t, 4, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0 AND kind <> 'greet'`))
}

func TestEnqueueTx_RefusesATransientTask(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	server := stacktest.Redis(t)
	tasks := newDurableTasks(t, db, server.URL())

	err := pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		_, err := tasks.EnqueueTx(t.Context(), tx, waveTask{Name: "ada"})
		return err
	})

	require.ErrorContains(t, err, "the task wave is transient: enqueue it with Enqueue after the commit, or declare it Durable")
}

func TestRedisWorker_SaysWhichKindIsUnknown(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worker := startTaskHandlers(t, server.URL(), time.Second, Handle(func(context.Context, greetArgs) error { return nil }))
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), oldParcel{}, oldParcel{}))

	client := stacktest.RedisClient(t, server)
	stacktest.Eventually(t, func() bool { return client.ZCard(t.Context(), "asynq:{default}:retry").Val() == 2 })
	lines := linesWith(worker.log, "no handler of its kind")
	require.Len(t, lines, 1)
	require.Contains(t, lines[0], "kind=weigh_parcel")
}

func TestExpireAfter_DropsWorkThatComesTooLate(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	ran := make(chan string, 10)
	handlers := Handlers{
		Handle(func(context.Context, momentArgs) error { ran <- "late"; return nil }),
		Handle(func(context.Context, hourArgs) error { ran <- "in time"; return nil }),
	}
	worker := startTaskHandlers(t, server.URL(), time.Second, handlers...)
	startHandlers(t, worker.db, handlers...)
	tasks, _ := newTasks(t, server.URL())

	require.NoError(t, newJobs(t, worker.db, prometheus.NewRegistry()).EnqueueNow(t.Context(), momentArgs{}, hourArgs{}))
	require.True(t, tasks.Enqueue(t.Context(), momentArgs{}, hourArgs{}))

	require.Equal(t, []string{"in time", "in time"}, []string{receive(t, ran), receive(t, ran)})
	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `
			SELECT count(*) FROM river_job
			WHERE state = 'cancelled' AND errors[1]->>'error' LIKE '%expired before a worker could run it%'`) == 1
	})
	stacktest.Eventually(t, func() bool { return len(linesWith(worker.log, "result=expired")) == 1 })
	require.Empty(t, ran)
	require.Zero(t, count(t, worker.db, `SELECT count(*) FROM failed_tasks`), "nobody misses a transient task")
}

func TestDelay_PutsOffTheFirstRun(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	db := pgtest.New(t, migrations)
	tasks, _ := newTasks(t, server.URL())

	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), slowArgs{}))
	require.True(t, tasks.Enqueue(t.Context(), slowArgs{}))

	require.Equal(t, 1, count(t, db, `
		SELECT count(*) FROM river_job
		WHERE state = 'scheduled' AND priority = 3 AND scheduled_at BETWEEN now() + interval '59 minutes' AND now() + interval '61 minutes'`))
	due, err := stacktest.RedisClient(t, server).ZRangeWithScores(t.Context(), "asynq:{default}:scheduled", 0, -1).Result()
	require.NoError(t, err)
	require.Len(t, due, 1)
	require.InDelta(t, float64(time.Now().Add(time.Hour).Unix()), due[0].Score, 60)
}

// Private

var (
	errDeclined = errors.New("declined")
	errBusy     = errors.New("busy")
)

// payArgs retry a busy gateway each hour, and a declined card never.
type payArgs struct {
	By string `json:"by"`
}

func (payArgs) Declare() Declaration {
	return Declaration{
		Kind: "pay", Attempts: 3, Backoff: func(int) time.Duration { return time.Minute }, GiveUpOn: []error{errDeclined},
		RetryOn: []RetryRule{{On: []error{errBusy}, Attempts: 6, Backoff: func(int) time.Duration { return time.Hour }}},
	}
}

// oldParcel and newParcel are the same kind in two releases.
type oldParcel struct {
	Weight int `json:"weight"`
}

func (oldParcel) Declare() Declaration { return Declaration{Kind: "weigh_parcel", Attempts: 1} }

type newParcel struct {
	Weight string `json:"weight"`
}

func (newParcel) Declare() Declaration { return Declaration{Kind: "weigh_parcel", Attempts: 1} }

// momentArgs have expired when a worker sees them, hourArgs have not.
type (
	momentArgs struct{}
	hourArgs   struct{}
)

func (momentArgs) Declare() Declaration {
	return Declaration{Kind: "moment", ExpireAfter: time.Nanosecond}
}

func (hourArgs) Declare() Declaration { return Declaration{Kind: "hour", ExpireAfter: time.Hour} }

// slowArgs run an hour after they were enqueued.
type slowArgs struct{}

func (slowArgs) Declare() Declaration {
	return Declaration{Kind: "slow", Delay: time.Hour, Priority: 3}
}

// linesWith returns the lines of a log that contain a text.
func linesWith(log *journal, text string) (lines []string) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}
