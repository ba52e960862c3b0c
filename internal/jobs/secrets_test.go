package jobs

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestSecrets_OfAJobReachNeitherTheLogNorTheTable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	worker := newHandlers(t, db, time.Second, Handle(func(_ context.Context, args vaultArgs) error {
		if args.Panic {
			panic("no vault for " + args.Owner)
		}
		return errors.New("no vault for " + args.Owner + " with pin " + args.Pin + ", password=hunter2")
	}))
	queue := newJobs(t, db, prometheus.NewRegistry())
	require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) error {
		return queue.Enqueue(t.Context(), tx, vaultArgs{Owner: "swordfish", Pin: "0815"}, vaultArgs{Owner: "swordfish", Pin: "0815", Panic: true})
	}))

	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'discarded'`) == 2 })

	for _, secret := range []string{"swordfish", "0815", "hunter2"} {
		require.NotContains(t, worker.log.String(), secret)
	}
	require.Contains(t, worker.log.String(), `level=WARN msg="Job failed for good" result=failed kind=vault id=1 attempt=1`)
	require.Contains(t, worker.log.String(), `error="no vault for *** with pin ***, password=***"`)
	require.Equal(t, 1, strings.Count(worker.log.String(), "level=ERROR"), "one line for one panic")
	require.Contains(t, worker.log.String(), `level=ERROR msg="Job panicked" kind=vault id=2 panic="no vault for ***" stack=`)
	require.Contains(t, worker.log.String(), "secrets_test.go", "the stack shows where")
	require.Equal(t, 2, count(t, db, `SELECT count(*) FROM river_job WHERE errors[1]->>'error' LIKE 'no vault for ***%'`))
}

func TestSecrets_OfATaskReachNeitherTheLogNorTheArchive(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	log, db := &journal{}, pgtest.New(t, migrations)
	reporter := telemetry.NewReporter(log.logger(), prometheus.NewRegistry())
	handler := Handle(func(_ context.Context, args vaultArgs) error {
		if args.Panic {
			panic("no vault for " + args.Owner)
		}
		return errors.New("no vault for " + args.Owner + " with pin " + args.Pin + ", password=hunter2")
	})
	redisWorker, err := NewRedisWorker(db, Handlers{handler}, RedisWorkerOptions{
		URL: server.URL(), Servers: 1, Concurrency: 5, CheckInterval: 5 * time.Millisecond, ShutdownTimeout: time.Second,
		Log: log.logger(), Metrics: NewMetrics(prometheus.NewRegistry()), Reporter: reporter,
	})
	require.NoError(t, err)
	worker := run(t, log, redisWorker.Run)
	t.Cleanup(worker.stop)
	tasks, _ := newTasks(t, server.URL())
	args := []Args{vaultArgs{Owner: "swordfish", Pin: "0815"}, vaultArgs{Owner: "swordfish", Pin: "0815", Panic: true}}

	require.True(t, tasks.Enqueue(t.Context(), args...))
	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM failed_tasks`) == 2 })
	require.NoError(t, worker.end(t))

	for _, secret := range []string{"swordfish", "0815", "hunter2"} {
		require.NotContains(t, worker.log.String(), secret)
	}
	require.Contains(t, worker.log.String(), `level=WARN msg="Task failed for good" result=failed kind=vault`)
	require.NotContains(t, worker.log.String(), "Retry exhausted")
	require.Equal(t, 1, strings.Count(worker.log.String(), "level=ERROR"), "one line for one panic")
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE error = 'no vault for *** with pin ***, password=***'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM failed_tasks WHERE error = 'panic: no vault for ***'`))
}

// Private

type vaultArgs struct {
	Owner string `json:"owner"`
	Pin   string `json:"pin"`
	Panic bool   `json:"panic"`
}

func (vaultArgs) Declare() Declaration {
	return Declaration{Kind: "vault", Attempts: 1, Masked: []string{"owner"}}
}
