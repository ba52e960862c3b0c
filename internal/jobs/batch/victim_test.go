package batch

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/jobs"
	"slipway/internal/postgres/pgtest"
)

// A batch is paused while its worker runs, the worker is killed, another one starts,
// and the batch goes on. BATCH_JOBS is the number of its jobs.
func TestBatch_SurvivesADeathOfItsWorkerInAPause(t *testing.T) {
	t.Parallel()
	total, _ := strconv.Atoi(os.Getenv("BATCH_JOBS"))
	if total == 0 {
		total = 3000
	}
	address := pgtest.URL(t, migrations)
	db, err := openDatabase(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	queue, err := jobs.NewJobs(db, jobs.NewMetrics(prometheus.NewRegistry()))
	require.NoError(t, err)
	f := &fixture{Batches: New(db, queue), queue: queue, log: &stacktest.Journal{}}
	lap := stopwatch(t)

	id := f.enqueue(t, total)
	lap("enqueued")
	victim := startVictim(t, f.log, address)
	stacktest.Eventually(t, func() bool { return f.show(t, id).Progress.Done > total/10 })
	lap("a tenth is done")
	require.NoError(t, f.Pause(t.Context(), id))
	require.NoError(t, victim.Process.Kill())
	_ = victim.Wait()
	killed := f.show(t, id).Progress
	lap("paused and killed", "progress", killed)
	require.Positive(t, killed.Waiting)

	startVictim(t, f.log, address)
	stacktest.Eventually(t, func() bool {
		return f.heldBack(t) == f.show(t, id).Progress.Waiting && f.show(t, id).Progress.Running == 0
	})
	held := f.show(t, id).Progress
	lap("all that waits is held back", "progress", held)
	require.GreaterOrEqual(t, held.Waiting, killed.Waiting)

	require.NoError(t, f.Resume(t.Context(), id))
	require.Eventually(t, func() bool { return f.heldBack(t) == 0 }, 4*stacktest.Patience, 50*time.Millisecond)
	lap("resumed")
	require.Eventually(t, func() bool { return f.show(t, id).Progress.Waiting == 0 }, 4*stacktest.Patience, 50*time.Millisecond)
	done := f.await(t, id, Succeeded)
	lap("succeeded", "progress", done.Progress)
	require.Equal(t, Progress{Total: total, Done: total}, done.Progress)
	require.Equal(t, []string{"finish 1", "success 1"}, f.reports(t))
}

// Private

const victimDatabase = "BATCH_VICTIM_DATABASE_URL"

// startVictim starts a process with a worker and a finisher, which is killed when the
// test ends.
func startVictim(t *testing.T, log *stacktest.Journal, address string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), victimDatabase+"="+address)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return cmd
}

// runVictim is the main program of a victim.
func runVictim(address string) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := workAsVictim(ctx, address, log); err != nil {
		log.Error("Victim ended with an error", "error", err)
		return 1
	}
	return 0
}

func workAsVictim(ctx context.Context, address string, log *slog.Logger) error {
	db, err := openDatabase(ctx, address)
	if err != nil {
		return err
	}
	defer db.Close()
	queue, err := jobs.NewJobs(db, jobs.NewMetrics(prometheus.NewRegistry()))
	if err != nil {
		return err
	}
	noop := func(context.Context, step) error { return nil }
	worker, err := newWorker(db, log, noop)
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.Go(func() error { return worker.Run(ctx) })
	group.Go(func() error { return NewFinisher(New(db, queue), handlers(db, noop), log).Run(ctx) })
	return group.Wait()
}

// stopwatch returns a function that logs how long a part of the test took.
func stopwatch(t *testing.T) func(what string, more ...any) {
	t.Helper()
	began := time.Now()
	return func(what string, more ...any) {
		t.Helper()
		t.Log(append([]any{time.Since(began).Round(time.Millisecond), what}, more...)...)
		began = time.Now()
	}
}

func (f *fixture) heldBack(t *testing.T) int {
	t.Helper()
	return f.count(t, `SELECT count(*) FROM river_job WHERE state = 'pending'`)
}
