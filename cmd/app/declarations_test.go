package main

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"slipway/internal/config"
	"slipway/internal/jobs"
)

func TestDeclarations_ThatCannotBeMeantAreRefusedAtTheStart(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://127.0.0.1:1/none")
	t.Setenv("REDIS_URL", "redis://127.0.0.1:1")
	app := testApplication()
	app.work = func(*backends) (work, error) {
		return work{
			jobs:  jobs.Handlers{jobs.Handle(func(context.Context, badArgs) error { return nil })},
			tasks: jobs.Handlers{jobs.Handle(func(context.Context, badArgs) error { return nil })},
		}, nil
	}

	for command, expected := range map[string]int{
		"jobs check": exitFailed, "worker-pg": exitUsage, "worker-redis": exitUsage, "web": exitUsage,
	} {
		var said strings.Builder
		code := run(t.Context(), app, strings.Fields(command), io.Discard, &said)
		require.Equal(t, expected, code, said.String())
		require.Contains(t, said.String(), "tidy: Attempts is -3: it must be at least 1", command)
		require.Contains(t, said.String(), `tidy: there is no queue "lwo": it is one of [critical default low]`, command)
		require.Contains(t, said.String(), "tidy is declared as a job and as a task", command)
	}
}

func TestWorkerQueues_AreThoseOfTheApplicationAndOfTheOperator(t *testing.T) {
	t.Parallel()
	app := testApplication()
	app.queues = map[jobs.Queue]int{"images": 2}
	variables := map[string]string{"DATABASE_URL": "postgres://localhost/app", "REDIS_URL": "redis://localhost"}
	load := func(queues string) *process {
		variables["WORKER_QUEUES"] = queues
		settings, _, err := app.schema().Load(config.WorkerRedis, variables)
		require.NoError(t, err)
		return &process{config: settings, queues: app.allQueues()}
	}

	require.Equal(t, map[jobs.Queue]int{"critical": 20, "default": 50, "low": 3, "images": 2}, load("").slots())
	require.Equal(t, jobs.Queues{"critical", "default", "low", "images"}, load("").workedQueues())
	require.Equal(t, map[jobs.Queue]int{"low": 3, "images": 7}, load("images:7,low").slots())
	require.Equal(t, jobs.Queues{"low", "images"}, load("images:7,low").workedQueues())
}

// Private

// badArgs are declared wrongly.
type badArgs struct{}

func (badArgs) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "tidy", Attempts: -3, Queue: "lwo"}
}
