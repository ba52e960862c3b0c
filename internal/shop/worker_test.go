package shop_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	files "slipway/config"
	"slipway/internal/jobs"
	"slipway/internal/jobs/recurring"
	"slipway/internal/shop"
	"slipway/internal/telemetry"
)

// startWorkers runs worker-pg for each of some processes, with the work of
// config/recurring.yml. Stop waits until all have ended.
func (s store) startWorkers(t *testing.T, processes ...*shop.Shop) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, process := range processes {
		registry := prometheus.NewRegistry()
		worker, err := jobs.NewPGWorker(s.db, process.Jobs(), jobs.PGWorkerOptions{
			Concurrency:     map[jobs.Queue]int{jobs.Critical: 2, jobs.Default: 2, jobs.Low: 1},
			ShutdownTimeout: 10 * time.Second, Log: s.options.Log,
			Metrics: jobs.NewMetrics(registry), Reporter: telemetry.NewReporter(s.options.Log, registry),
		})
		require.NoError(t, err)
		work, err := recurring.Parse(files.Recurring, process.Jobs(), process.Tasks())
		require.NoError(t, err)
		scheduler := recurring.NewScheduler(s.db, s.options.Jobs, s.options.Tasks, work, s.options.Log)
		for _, run := range []func(context.Context) error{worker.Run, scheduler.Run, process.RunSales} {
			running.Go(func() { require.NoError(t, run(ctx)) })
		}
	}
	return func() {
		cancel()
		running.Wait()
	}
}
