package jobs

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/failopen"
	"slipway/internal/telemetry"
)

func TestMain(m *testing.M) {
	failopen.LogThrough(func(string, error) {})
	if role := os.Getenv(tortureRole); role != "" {
		os.Exit(runVictim(role))
	}
	m.Run()
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// migrations make one table for jobs to write to.
var migrations fs.FS = fstest.MapFS{"00001_create_things.sql": {Data: []byte("-- +goose Up\nCREATE TABLE things (name text NOT NULL);\n")}}

// running is a worker that Run has been called on.
type running struct {
	log   *journal
	stop  context.CancelFunc
	ended chan error
}

func run(t *testing.T, log *journal, work func(context.Context) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{log: log, stop: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- work(ctx) }()
	return r
}

// end stops the worker in order and returns what Run returned.
func (r *running) end(t *testing.T) error {
	t.Helper()
	r.stop()
	return r.wait(t)
}

func (r *running) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(patience):
		require.FailNow(t, "the worker does not end")
		return nil
	}
}

// receive waits for what a handler sends.
func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case value := <-from:
		return value
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// figures are the counts of a counter by its labels, joined by spaces.
func figures(t *testing.T, registry *prometheus.Registry, name string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	counts := map[string]float64{}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, metric := range family.GetMetric() {
			labels := ""
			for _, label := range metric.GetLabel() {
				labels += label.GetValue() + " "
			}
			counts[labels[:len(labels)-1]] = metric.GetCounter().GetValue()
		}
	}
	return counts
}

func startRedis(t *testing.T) *devstack.Redis {
	t.Helper()
	return startRedisWith(t, devstack.RedisOptions{Dir: t.TempDir()})
}

func startRedisWith(t *testing.T, options devstack.RedisOptions) *devstack.Redis {
	t.Helper()
	server, err := devstack.StartRedis(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = server.Thaw() // a frozen one would not stop
		require.NoError(t, server.Stop(ctx))
	})
	return server
}

func newReporter() *telemetry.Reporter {
	return telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
}

// journal is a log that several goroutines may write.
type journal struct {
	mutex  sync.Mutex
	buffer bytes.Buffer
}

func (j *journal) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(j, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (j *journal) Write(line []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.buffer.Write(line)
}

func (j *journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.buffer.String()
}
