package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

func TestStep_AFailedJobGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	trail := make(chan string, 20)
	startHandlers(t, db, Handle(func(ctx context.Context, _ onceMoreArgs) error {
		for _, name := range []string{"a", "b", "c"} {
			err := Step(ctx, name, func(ctx context.Context) error {
				trail <- name
				if name == "b" && RunOf(ctx).Attempt == 1 {
					return errors.New("once")
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))

	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), onceMoreArgs{}))

	for _, name := range []string{"a", "b", "b", "c"} {
		require.Equal(t, name, receive(t, trail))
	}
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed' AND attempt = 2`) == 1
	})
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE metadata->'slipway:steps' = '{"done": ["a", "b", "c"]}'`))
}

func TestStepCursor_AStoppingWorkerHandsTheJobBackAtACheckpoint(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	rows, next := make(chan int, 20), make(chan struct{})
	count5 := Handle(func(ctx context.Context, _ onceMoreArgs) error {
		if err := Step(ctx, "first", func(context.Context) error { rows <- 0; return nil }); err != nil {
			return err
		}
		return StepCursor(ctx, "rows", func(ctx context.Context, cursor *Cursor[int]) error {
			for cursor.At() < 5 {
				rows <- cursor.At() + 1
				<-next
				if err := cursor.Set(ctx, cursor.At()+1); err != nil {
					return fmt.Errorf("at %d: %w", cursor.At(), err)
				}
			}
			return nil
		})
	})
	first := newHandlers(t, db, time.Minute, count5)
	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), onceMoreArgs{}))
	require.Equal(t, 0, receive(t, rows))
	require.Equal(t, 1, receive(t, rows))
	next <- struct{}{}
	require.Equal(t, 2, receive(t, rows))

	first.stop()
	stacktest.Eventually(t, first.worker.stopping)
	close(next)
	require.NoError(t, first.wait(t))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE state = 'available' AND attempt = 0 AND errors IS NULL`))
	require.Empty(t, rows)
	startHandlers(t, db, count5)

	for _, row := range []int{3, 4, 5} {
		require.Equal(t, row, receive(t, rows))
	}
	stacktest.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed' AND attempt = 1`) == 1
	})
	require.Empty(t, rows)
}

func TestStep_AStoppingWorkerHandsTheJobBackBetweenSteps(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	began, goOn := make(chan string, 5), make(chan struct{})
	work := Handle(func(ctx context.Context, _ onceMoreArgs) error {
		for _, name := range []string{"a", "b"} {
			if err := Step(ctx, name, func(context.Context) error { began <- name; <-goOn; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	first := newHandlers(t, db, time.Minute, work)
	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), onceMoreArgs{}))
	require.Equal(t, "a", receive(t, began))

	first.stop()
	stacktest.Eventually(t, first.worker.stopping)
	close(goOn)
	require.NoError(t, first.wait(t))
	require.Empty(t, began)
	startHandlers(t, db, work)

	require.Equal(t, "b", receive(t, began))
}

func TestStepCursor_MovesInTheTransactionOfTheWork(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	var crashed atomic.Bool
	startHandlers(t, db, Handle(func(ctx context.Context, _ onceMoreArgs) error {
		return StepCursor(ctx, "rows", func(ctx context.Context, cursor *Cursor[int]) error {
			for cursor.At() < 5 {
				row := cursor.At() + 1
				err := pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, `INSERT INTO things (name) VALUES ($1)`, fmt.Sprint(row)); err != nil {
						return err
					}
					return cursor.SetTx(ctx, tx, row)
				})
				if err != nil {
					return err
				}
				if row == 3 && !crashed.Swap(true) {
					panic("crash")
				}
			}
			return nil
		})
	}))

	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), onceMoreArgs{}))

	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed'`) == 1 })
	require.Equal(t, []string{"1", "2", "3", "4", "5"}, things(t, db))
}

// A killed worker leaves at most the step to repeat that it ran.
func TestStep_AKilledWorkerRepeatsOneStep(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t, migrations)
	db := openDatabase(t, url)
	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), onceMoreArgs{}))
	victim := startVictim(t, "steps", url, stacktest.Redis(t).URL())
	stacktest.Eventually(t, func() bool { return slices.Contains(things(t, db), "3") }, victim.output)

	require.NoError(t, victim.kill())

	require.Eventually(t, func() bool {
		return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'completed' AND attempt = 1`) == 1
	}, 4*patience, 50*time.Millisecond)
	require.Equal(t, []string{"1", "2", "3", "3", "4", "5"}, things(t, db))
}

func TestStep_RefusesNamesThatSayNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	nothing := func(context.Context) error { return nil }
	startHandlers(t, db, Handle(func(ctx context.Context, _ onceMoreArgs) error {
		require.NoError(t, Step(ctx, "a", nothing))
		return Step(ctx, "a", nothing)
	}), Handle(func(ctx context.Context, _ greetArgs) error {
		return Step(ctx, "a", func(ctx context.Context) error { return Step(ctx, "b", nothing) })
	}))

	require.NoError(t, newJobs(t, db, prometheus.NewRegistry()).EnqueueNow(t.Context(), onceMoreArgs{}, greetArgs{}))

	stacktest.Eventually(t, func() bool { return count(t, db, `SELECT count(*) FROM river_job WHERE state = 'discarded'`) == 2 })
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE errors[1]->>'error' = 'there are two steps named "a"'`))
	require.Equal(t, 1, count(t, db, `SELECT count(*) FROM river_job WHERE errors[1]->>'error' = 'the step "b" begins within the step "a"'`))
}

// Private

// onceMoreArgs is a job of several steps.
type onceMoreArgs struct{}

func (onceMoreArgs) Declare() Declaration {
	return Declaration{Kind: "once_more", Attempts: 3, Backoff: func(int) time.Duration { return 10 * time.Millisecond }}
}

// workSteps is the main program of a victim. Its step 3 does not end before the victim
// is killed.
func workSteps(ctx context.Context, db *pgxpool.Pool, options PGWorkerOptions) error {
	worker, err := NewPGWorker(db, Handlers{Handle(func(ctx context.Context, _ onceMoreArgs) error {
		for n := range 5 {
			err := Step(ctx, fmt.Sprint(n+1), func(ctx context.Context) error {
				var runs int
				err := db.QueryRow(ctx, `
					WITH run AS (INSERT INTO things (name) VALUES ($1) RETURNING name)
					SELECT count(*) FROM things JOIN run USING (name)`, fmt.Sprint(n+1)).Scan(&runs)
				if err == nil && n+1 == 3 && runs == 0 {
					<-ctx.Done()
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})}, options)
	if err != nil {
		return err
	}
	return worker.Run(ctx)
}

func things(t *testing.T, db *pgxpool.Pool) []string {
	t.Helper()
	rows, err := db.Query(t.Context(), `SELECT name FROM things ORDER BY name`)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}
