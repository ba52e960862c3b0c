package jobs

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
)

func TestPermanent_FailsAJobForGoodAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue := newJobs(t, db, prometheus.NewRegistry())
	enqueue(t, db, queue, "ada")

	startHandlers(t, db, Handle(func(_ context.Context, args greetArgs) error {
		return fmt.Errorf("greet %s: %w", args.Name, Permanent(errors.New("no such mailbox")))
	}))

	stacktest.Eventually(t, func() bool {
		return count(t, db, `
			SELECT count(*) FROM river_job
			WHERE state = 'discarded' AND attempt = 1 AND max_attempts = 25 AND errors[1]->>'error' = 'greet ada: no such mailbox'`) == 1
	})
}

func TestPermanent_FailsATaskForGoodAtOnce(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	worker := startRedisWorker(t, server.URL(), time.Second, func(_ context.Context, task waveTask) error {
		return fmt.Errorf("wave to %s: %w", task.Name, Permanent(errors.New("no such window")))
	})
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), waveTask{Name: "ada"}))

	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `
			SELECT count(*) FROM failed_tasks
			WHERE kind = 'wave' AND attempts = 1 AND NOT cancelled AND error = 'wave to ada: no such window'`) == 1
	})
}

func TestCheck_FailsWorkWithWrongArgsAtOnceInBothBackends(t *testing.T) {
	t.Parallel()
	server := stacktest.Redis(t)
	handler := Handle(func(context.Context, knockArgs) error { panic("args that cannot work reach no handler") })
	worker := startTaskHandlers(t, server.URL(), time.Second, handler)
	startHandlers(t, worker.db, handler)
	tasks, _ := newTasks(t, server.URL())

	require.True(t, tasks.Enqueue(t.Context(), knockArgs{Door: -1}))
	require.NoError(t, pgx.BeginFunc(t.Context(), worker.db, func(tx pgx.Tx) error {
		return newJobs(t, worker.db, prometheus.NewRegistry()).Enqueue(t.Context(), tx, knockArgs{Door: -1})
	}))

	const reason = "check the arguments of knock: there is no door -1"
	stacktest.Eventually(t, func() bool {
		return count(t, worker.db, `SELECT count(*) FROM failed_tasks WHERE attempts = 1 AND error = '`+reason+`'`) == 1 &&
			count(t, worker.db, `SELECT count(*) FROM river_job WHERE state = 'discarded' AND errors[1]->>'error' = '`+reason+`'`) == 1
	})
	require.EqualError(t, handler.CheckWritten([]byte(`{"door": -1}`)), reason)
	require.NoError(t, handler.CheckWritten([]byte(`{"door": 1}`)))
}

// Private

// knockArgs are args that can be wrong by themselves.
type knockArgs struct {
	Door int `json:"door"`
}

func (knockArgs) Declare() Declaration { return Declaration{Kind: "knock"} }

func (k knockArgs) Check() error {
	if k.Door < 0 {
		return fmt.Errorf("there is no door %d", k.Door)
	}
	return nil
}
