package jobstest

import (
	"context"
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
	"slipway/internal/postgres/pgtest"
)

func TestJobstest_ShowsAndRunsWhatWasEnqueued(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	queue, err := jobs.NewJobs(db, jobs.NewMetrics(prometheus.NewRegistry()))
	require.NoError(t, err)
	var greeted []string
	handlers := jobs.Handlers{
		jobs.Handle(func(_ context.Context, args greet) error {
			greeted = append(greeted, args.Name)
			if args.Name == "nobody" {
				return errNobody
			}
			return nil
		}),
		jobs.Handle(func(ctx context.Context, args greetAll) error {
			for _, name := range args.Names {
				if err := queue.EnqueueNow(ctx, greet{Name: name}); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	require.NoError(t, queue.EnqueueNow(t.Context(), greetAll{Names: []string{"ada", "bob"}}))

	require.Equal(t, []greetAll{{Names: []string{"ada", "bob"}}}, Enqueued[greetAll](t, db))
	require.Empty(t, Enqueued[greet](t, db))
	require.Equal(t, []string{"greet_all", "greet", "greet"}, Drain(t, db, handlers))
	require.Equal(t, []string{"ada", "bob"}, greeted)
	require.Empty(t, Drain(t, db, handlers))
	require.ErrorIs(t, Run(t, handlers, greet{Name: "nobody"}), errNobody)
}

// Private

var errNobody = errors.New("there is nobody")

type greet struct {
	Name string `json:"name"`
}

func (greet) Declare() jobs.Declaration { return jobs.Declaration{Kind: "greet"} }

type greetAll struct {
	Names []string `json:"names"`
}

func (greetAll) Declare() jobs.Declaration { return jobs.Declaration{Kind: "greet_all"} }

var migrations fs.FS = fstest.MapFS{"00001_nothing.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}
