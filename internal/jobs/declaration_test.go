package jobs

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestDeclaration_HoldsForJobs(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	registry := prometheus.NewRegistry()
	queue := newJobs(t, db, registry)

	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Enqueue(t.Context(), tx, countArgs{Store: 1}, countArgs{Store: 1}, countArgs{Store: 2}, greetArgs{Name: "ada"})
	}))

	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM river_job WHERE kind = 'count' AND queue = 'low' AND max_attempts = 3`))
	require.Equal(t, 1, count(t, db, `
		SELECT count(*) FROM river_job
		WHERE kind = 'greet' AND queue = 'default' AND max_attempts = 25 AND args = '{"name": "ada"}'`))
	enqueued := map[string]float64{"pg count ok": 2, "pg count duplicate": 1, "pg greet ok": 1}
	require.Equal(t, enqueued, counts(t, registry, "app_jobs_enqueue_total"))
}

func TestDeclaration_HoldsForTasks(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), countArgs{Store: 1}, countArgs{Store: 1}, countArgs{Store: 2}))

	inspector := asynq.NewInspectorFromRedisClient(stacktest.RedisClient(t, server))
	waiting, err := inspector.ListPendingTasks("low")
	require.NoError(t, err)
	require.Len(t, waiting, 2)
	require.Equal(t, 3, waiting[0].MaxRetry)
}

func TestUnique_WithinATimeAlsoDropsDuplicatesOfFinishedTasks(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worked := make(chan int, 10)
	worker := startTaskHandlers(t, server.URL(), time.Second, Handle(func(_ context.Context, args yearlyArgs) error {
		worked <- args.Store
		return nil
	}))
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), yearlyArgs{Store: 1}))
	require.Equal(t, 1, receive(t, worked))
	stacktest.Eventually(t, func() bool {
		return strings.Contains(worker.log.String(), `"Task finished" result=done`)
	})
	require.True(t, tasks.Enqueue(t.Context(), yearlyArgs{Store: 1}, yearlyArgs{Store: 2}))

	require.Equal(t, 2, receive(t, worked))
	require.Empty(t, worked)
}

func TestLimit_RunsEqualKeysOneAfterTheOther(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	var now, most, runs atomic.Int32
	began, finish := make(chan int, 10), make(chan struct{})
	work := Handle(func(_ context.Context, args reconcileArgs) error {
		if args.Store == 1 {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
		}
		runs.Add(1)
		began <- args.Store
		<-finish
		return nil
	})
	startHandlers(t, db, work)
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Enqueue(t.Context(), tx, reconcileArgs{Store: 1}, reconcileArgs{Store: 1}, reconcileArgs{Store: 2})
	}))

	require.ElementsMatch(t, []int{1, 2}, []int{receive(t, began), receive(t, began)})
	stacktest.Eventually(t, func() bool {
		return count(t, db, `
			SELECT count(*) FROM river_job
			WHERE state = 'scheduled' AND attempt = 0 AND metadata ? 'snoozes'`) == 1
	})
	close(finish)

	require.Equal(t, 1, receive(t, began))
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`) == 3
	})
	require.EqualValues(t, 1, most.Load())
	require.EqualValues(t, 3, runs.Load())
}

func TestBackoff_Grows(t *testing.T) {
	t.Parallel()

	for attempt, least := range map[int]time.Duration{1: time.Second, 2: 16 * time.Second, 3: 81 * time.Second, 25: 24 * time.Hour} {
		require.InDelta(t, 1.05*least.Seconds(), Patient(attempt).Seconds(), 0.06*least.Seconds())
	}
	for attempt, least := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 7: 64 * time.Second, 100: 64 * time.Second} {
		require.InDelta(t, 1.05*least.Seconds(), Quick(attempt).Seconds(), 0.06*least.Seconds())
	}
}

// Private

// countArgs are unique while they wait.
type countArgs struct {
	Store int `json:"store"`
}

func (countArgs) Declare() Declaration {
	return Declaration{Kind: "count", Queue: Low, Attempts: 3, Unique: Uniqueness{Waiting: true}}
}

// yearlyArgs are unique within a time that no test sees the end of.
type yearlyArgs struct {
	Store int `json:"store"`
}

func (yearlyArgs) Declare() Declaration {
	return Declaration{Kind: "yearly", Unique: Uniqueness{Within: 100 * 365 * 24 * time.Hour}}
}

// reconcileArgs run one at a time for each store.
type reconcileArgs struct {
	Store int `json:"store"`
}

func (reconcileArgs) Declare() Declaration {
	return Declaration{Kind: "reconcile", Limit: Limit{Key: func(args json.RawMessage) string { return string(args) }}}
}
