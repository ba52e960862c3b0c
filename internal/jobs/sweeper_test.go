package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres/pgtest"
)

func TestSweeper_ReturnsTasksThatNobodyWorks(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	tasks, _ := newTasks(t, server.URL())
	client := newClient(t, server)
	s := newSweeper(client, &failedTasks{pgtest.New(t, migrations)}, (&journal{}).logger(), newReporter())
	s.unleasedGrace = 0
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}, waveTask{Name: "bob"}, waveTask{Name: "cyd"}))
	expired := take(t, client, time.Now().Add(-time.Hour))
	alive := take(t, client, time.Now().Add(time.Hour))
	unleased := take(t, client, time.Time{})

	require.NoError(t, s.sweep(t.Context(), Default)) // sees the one without a lease for the first time
	require.NoError(t, s.sweep(t.Context(), Default))

	require.Equal(t, []string{alive}, client.LRange(t.Context(), "asynq:{default}:active", 0, -1).Val())
	require.ElementsMatch(t, []string{expired, unleased}, client.LRange(t.Context(), "asynq:{default}:pending", 0, -1).Val())
	info, err := s.inspector.GetTaskInfo("default", expired)
	require.NoError(t, err)
	require.Zero(t, info.Retried)
	require.Empty(t, s.unleased)
}

func TestSweeper_GivesUpATaskThatKillsItsWorkers(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	tasks, _ := newTasks(t, server.URL())
	client := newClient(t, server)
	db := pgtest.New(t, migrations)
	reporter, told := tellingReporter(t)
	s := newSweeper(client, &failedTasks{db}, (&journal{}).logger(), reporter)
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "eve"}))

	for range crashesForFree {
		take(t, client, time.Now().Add(-time.Hour))
		require.NoError(t, s.sweep(t.Context(), Default))
	}
	id := take(t, client, time.Now().Add(-time.Hour))
	require.Empty(t, told)
	for range 2 {
		require.NoError(t, s.sweep(t.Context(), Default))
	}
	require.NoError(t, s.copyFailed(t.Context(), Default))

	info, err := s.inspector.GetQueueInfo("default")
	require.NoError(t, err)
	require.Equal(t, 1, info.Archived)
	require.Zero(t, info.Pending+info.Active)
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE kind = 'wave' AND args->>'name' = 'eve' AND error LIKE 'the worker died 6 times%'`))
	reporter.Close()
	body := receive(t, told)
	require.Contains(t, body, `"source":"task wave"`)
	require.Contains(t, body, `"id":"`+id+`"`)
	require.Contains(t, body, "the worker died 6 times")
	require.Empty(t, told)
}

func TestSweeper_CopiesTheNewestFailureBehindThousandsOfOthers(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	tasks, _ := newTasks(t, server.URL())
	client := newClient(t, server)
	db := pgtest.New(t, migrations)
	s := newSweeper(client, &failedTasks{db}, (&journal{}).logger(), newReporter())
	fail := func(name string) {
		require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: name}))
		_, err := s.inspector.ArchiveAllPendingTasks("default")
		require.NoError(t, err)
	}
	for n := range 1100 {
		fail(strconv.Itoa(n))
	}
	require.NoError(t, s.copyFailed(t.Context(), Default))
	require.Equal(t, 1100, count(t, db, `SELECT count(*) FROM failed_tasks`))

	fail("the last")
	require.NoError(t, s.copyFailed(t.Context(), Default))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE args->>'name' = 'the last'`))
}

func TestRedisWorker_KeepsTasksThatFailedForGoodInTheDatabase(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	worker := startRedisWorker(t, server.URL(), time.Second, func(context.Context, waveTask) error { return errors.New("out of paper") })
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveOnceTask{}))
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.Eventually(t, func() bool {
		return count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE kind = 'wave_once' AND attempts = 1 AND error = 'out of ink'`) == 1
	}, patience, 10*time.Millisecond)
	require.Zero(t, count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE kind = 'wave'`)) // it has attempts left
}

func TestRedisWorker_DoesNotRunACancelledTaskAgain(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	began := make(chan struct{}, 10)
	worker := startRedisWorker(t, server.URL(), time.Second, func(ctx context.Context, _ waveTask) error {
		began <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	tasks, _ := newTasks(t, server.URL())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	receive(t, began)
	client := newClient(t, server)
	inspector := asynq.NewInspectorFromRedisClient(client)
	active, err := inspector.ListActiveTasks("default")
	require.NoError(t, err)

	require.Eventually(t, func() bool { // asynq subscribes to cancellations a moment after it starts
		require.NoError(t, inspector.CancelProcessing(active[0].ID))
		failed, err := inspector.ListArchivedTasks("default")
		return err == nil && len(failed) == 1
	}, patience, 50*time.Millisecond)

	require.Empty(t, began)
	require.Equal(t, 1, count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE cancelled AND error = 'cancelled'`))
	require.Positive(t, figures(t, worker.registry, "app_jobs_processed_total")["redis wave default cancelled"]) // it was cancelled more than once
	require.Contains(t, worker.log.String(), `"Task cancelled"`)
	require.NotContains(t, worker.log.String(), "Task failed")
}

// What a handler cancels by itself is a failure like any other.
func TestRedisWorker_TakesNoOtherCancelForAnOperators(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	var runs atomic.Int64
	worker := startRedisWorker(t, server.URL(), time.Second, func(context.Context, waveTask) error {
		if runs.Add(1) == 1 {
			return fmt.Errorf("ask a neighbour: %w", context.Canceled)
		}
		return nil
	})
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	require.Eventually(t, func() bool {
		return figures(t, worker.registry, "app_jobs_processed_total")["redis wave default done"] == 1
	}, patience, 10*time.Millisecond)
}

func TestSweeper_KnowsWhatWasCancelled(t *testing.T) {
	t.Parallel()
	server := startRedis(t)
	tasks, _ := newTasks(t, server.URL())
	client := newClient(t, server)
	db := pgtest.New(t, migrations)
	s := newSweeper(client, &failedTasks{db}, (&journal{}).logger(), newReporter())
	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))
	pending, err := s.inspector.ListPendingTasks("default")
	require.NoError(t, err)
	require.NoError(t, tasks.MarkCancelled(t.Context(), pending[0].ID))
	require.NoError(t, s.inspector.ArchiveTask("default", pending[0].ID)) // and then whoever cancels it dies

	require.NoError(t, s.copyFailed(t.Context(), Default))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE cancelled AND error = 'cancelled'`))
}

// Private

// waveOnceTask is a task that has one attempt.
type waveOnceTask struct {
	Name string `json:"name"`
}

func (waveOnceTask) Declare() Declaration { return Declaration{Kind: "wave_once", Attempts: 1} }

// take moves the next task into work, as asynq does, with a lease unless until
// is zero.
func take(t *testing.T, client *redis.Client, until time.Time) (id string) {
	t.Helper()
	id, err := client.LMove(t.Context(), "asynq:{default}:pending", "asynq:{default}:active", "RIGHT", "LEFT").Result()
	require.NoError(t, err)
	require.NoError(t, client.HSet(t.Context(), "asynq:{default}:t:"+id, "state", "active").Err())
	if !until.IsZero() {
		require.NoError(t, client.ZAdd(t.Context(), "asynq:{default}:lease", redis.Z{Score: float64(until.Unix()), Member: id}).Err())
	}
	return id
}

func TestWarnOfLoss_NamesSettingsThatLoseTasks(t *testing.T) {
	t.Parallel()
	client := newClient(t, startRedis(t))
	set := func(name, value string) {
		t.Helper()
		require.NoError(t, client.ConfigSet(t.Context(), name, value).Err())
	}
	for _, row := range []struct {
		policy, limit, appendonly string
		warnings                  []string
	}{
		{"noeviction", "100mb", "yes", nil},
		{"allkeys-lru", "0", "yes", nil},
		{"allkeys-lru", "100mb", "yes", []string{"drops tasks when it is full"}},
		{"noeviction", "100mb", "no", []string{"forgets tasks when it ends"}},
	} {
		set("maxmemory-policy", row.policy)
		set("maxmemory", row.limit)
		set("appendonly", row.appendonly)
		log := &journal{}

		require.NoError(t, warnOfLoss(t.Context(), client, log.logger()))

		require.Equal(t, len(row.warnings), strings.Count(log.String(), "level=WARN"), row)
		for _, warning := range row.warnings {
			require.Contains(t, log.String(), warning)
		}
	}
}
