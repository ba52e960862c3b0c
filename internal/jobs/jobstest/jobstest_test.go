package jobstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/failopen"
	"slipway/internal/jobs"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
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

func TestJobstest_ShowsAndRunsTasks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t, migrations)
	metrics := jobs.NewMetrics(prometheus.NewRegistry())
	queue, err := jobs.NewJobs(db, metrics)
	require.NoError(t, err)
	server := stacktest.Redis(t)
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	tasks, err := jobs.NewTasks(failopen.NewGuard(failopen.Options{URL: server.URL(), Timeout: time.Second}, reporter), queue, metrics)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tasks.Close()) })
	var greeted []string
	handlers := jobs.Handlers{
		jobs.Handle(func(_ context.Context, args greet) error {
			greeted = append(greeted, args.Name)
			return nil
		}),
		jobs.Handle(func(ctx context.Context, args note) error {
			if !tasks.Enqueue(ctx, greet{Name: args.Text}) {
				return errNobody
			}
			return nil
		}),
	}
	enqueueNote := func(text string) (deliver func(context.Context)) {
		require.NoError(t, pgx.BeginFunc(t.Context(), db, func(tx pgx.Tx) (err error) {
			deliver, err = tasks.EnqueueTx(t.Context(), tx, note{Text: text})
			return err
		}))
		return deliver
	}

	require.True(t, tasks.Enqueue(t.Context(), greet{Name: "ada"}))
	require.True(t, tasks.Enqueue(t.Context(), greet{Name: "bob"}))
	require.True(t, tasks.EnqueueAt(t.Context(), time.Now().Add(time.Hour), greet{Name: "later"}))
	enqueueNote("sent")(t.Context())
	enqueueNote("kept")

	require.Equal(t, []greet{{"ada"}, {"bob"}, {"later"}}, EnqueuedTasks[greet](t, db, tasks))
	require.Equal(t, []note{{"sent"}, {"kept"}}, EnqueuedTasks[note](t, db, tasks))
	require.Empty(t, Enqueued[greet](t, db), "a task is no job")
	require.ElementsMatch(t, []string{"greet", "greet", "note", "note", "greet", "greet"}, DrainTasks(t, db, tasks, handlers))
	require.ElementsMatch(t, []string{"ada", "bob", "sent", "kept"}, greeted)
	require.Equal(t, []greet{{"later"}}, EnqueuedTasks[greet](t, db, tasks))
	require.Empty(t, EnqueuedTasks[note](t, db, tasks))
	require.Empty(t, DrainTasks(t, db, tasks, handlers))
}

func TestRequireHandlers_NamesATypeWithoutOne(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	source := "package jobstest\n\nfunc (greet) Declare() jobs.Declaration { return declare(\"greet\") }\n"
	require.NoError(t, os.WriteFile(filepath.Join(directory, "jobs.go"), []byte(source), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(directory, "jobs_test.go"), []byte(strings.ReplaceAll(source, "greet", "other")), 0o600))
	ofGreet := jobs.Handle(func(context.Context, greet) error { return nil })
	ofNote := jobs.Handle(func(context.Context, note) error { return nil })

	RequireHandlers(t, directory, jobs.Handlers{ofGreet, ofNote})

	failing := &failing{TB: t}
	failing.run(func() { RequireHandlers(failing, directory, jobs.Handlers{ofNote}) })
	require.Contains(t, failing.text, "jobs.go:3:1: jobstest.greet has no handler: add one to the handlers of the application")
}

// Private

// failing is a test that is expected to fail.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Errorf(format string, arguments ...any) {
	f.text += fmt.Sprintf(format, arguments...)
}
func (f *failing) FailNow() { runtime.Goexit() }

func (f *failing) run(test func()) {
	var ended sync.WaitGroup
	ended.Go(test)
	ended.Wait()
}

type note struct {
	Text string `json:"text"`
}

func (note) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "note", Queue: "notes", Durable: true}
}

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
