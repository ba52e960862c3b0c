package jobs

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestCause_OfAJobIsTheRequestAndTheWorkThatEnqueuedIt(t *testing.T) {
	t.Parallel()
	server, db := stacktest.Redis(t), pgtest.New(t, migrations)
	queue, tasks := newJobs(t, db, prometheus.NewRegistry()), newDurableTasks(t, db, server.URL())
	runs := make(chan Run, 10)
	record := func(ctx context.Context) {
		run := RunOf(ctx)
		require.Equal(t, run.Cause.Request, telemetry.RequestID(ctx))
		runs <- run
	}
	startTaskHandlers(t, server.URL(), time.Second, Handle(func(ctx context.Context, _ parcelTask) error {
		record(ctx)
		return nil
	}), Handle(func(ctx context.Context, _ waveTask) error {
		record(ctx)
		return queue.EnqueueNow(ctx, newerArgs{})
	}))
	worker := newHandlers(t, db, time.Second, Handle(func(ctx context.Context, args greetArgs) error {
		record(ctx)
		require.True(t, tasks.Enqueue(ctx, waveTask(args)))
		return nil
	}), Handle(func(ctx context.Context, _ newerArgs) error {
		record(ctx)
		return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
			deliver, err := tasks.EnqueueTx(ctx, tx, parcelTask{Name: "ada"})
			if err == nil {
				deliver(ctx)
			}
			return err
		})
	}))

	require.NoError(t, queue.EnqueueNow(telemetry.WithRequestID(t.Context(), "r-1"), greetArgs{Name: "ada"}))
	greet, wave, newer, parcel := receive(t, runs), receive(t, runs), receive(t, runs), receive(t, runs)
	require.NoError(t, worker.end(t))

	require.Equal(t, Cause{Request: "r-1"}, greet.Cause)
	require.Equal(t, Cause{Request: "r-1", Parent: "pg:1"}, wave.Cause)
	require.Equal(t, Cause{Request: "r-1", Parent: "redis:default:" + wave.ID}, newer.Cause)
	require.Equal(t, Cause{Request: "r-1", Parent: "pg:" + newer.ID}, parcel.Cause)
	require.Equal(t, 1, count(t, db, `
		SELECT count(*) FROM river_job WHERE kind = 'greet' AND metadata->>'slipway:request' = 'r-1' AND NOT metadata ? 'slipway:parent'`))
	require.Regexp(t, `msg="Job finished" result=done kind=greet id=1 attempt=1 took=\S+ request_id=r-1`, worker.log.String())
}

func TestCause_OfWorkThatNoRequestCausedIsNotStored(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)

	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), greetArgs{}))

	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE metadata = '{}'`))
}
