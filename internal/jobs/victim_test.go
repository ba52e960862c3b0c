package jobs

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/failopen"
	"slipway/internal/postgres"
)

// Private

const (
	tortureRole     = "TORTURE_ROLE"
	tortureDatabase = "TORTURE_DATABASE_URL"
	tortureRedis    = "TORTURE_REDIS_URL"
)

// victim is a process that a test kills and freezes. It runs the test binary.
type victim struct {
	role        string
	environment []string
	mutex       sync.Mutex
	cmd         *exec.Cmd
	output      *journal
}

func startVictim(t *testing.T, role, databaseURL, redisURL string) *victim {
	t.Helper()
	v := &victim{role: role, output: &journal{}}
	v.environment = append(os.Environ(), tortureRole+"="+role, tortureDatabase+"="+databaseURL, tortureRedis+"="+redisURL)
	require.NoError(t, v.launch())
	t.Cleanup(func() {
		v.mutex.Lock()
		defer v.mutex.Unlock()
		if v.cmd != nil {
			_ = v.cmd.Process.Kill()
			_ = v.cmd.Wait()
		}
		if t.Failed() {
			t.Logf("%s:\n%s", role, v.output.String())
		}
	})
	return v
}

func (v *victim) launch() error {
	v.cmd = exec.Command(os.Args[0])
	v.cmd.Env = v.environment
	v.cmd.Stdout, v.cmd.Stderr = v.output, v.output
	return v.cmd.Start()
}

// kill kills the process and starts it again.
func (v *victim) kill() error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if err := v.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = v.cmd.Wait()
	return v.launch()
}

// restart stops the process and starts it again, as a deploy does.
func (v *victim) restart() error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if err := v.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	_ = v.cmd.Wait()
	return v.launch()
}

// freeze suspends the process for a while.
func (v *victim) freeze(d time.Duration) error {
	v.mutex.Lock()
	defer v.mutex.Unlock()
	if err := v.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	<-timer.C
	return v.cmd.Process.Signal(syscall.SIGCONT)
}

func (v *victim) stop(t *testing.T) {
	t.Helper()
	v.mutex.Lock()
	defer v.mutex.Unlock()
	require.NoError(t, v.cmd.Process.Signal(syscall.SIGTERM))
	late := time.AfterFunc(patience, func() { _ = v.cmd.Process.Kill() })
	defer late.Stop()
	require.NoError(t, v.cmd.Wait(), v.output)
	v.cmd = nil
}

// runVictim is the main program of a victim.
func runVictim(role string) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends the process at once
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := workAs(ctx, role, log); err != nil {
		log.Error("Victim ended with an error", "error", err)
		return 1
	}
	return 0
}

func workAs(ctx context.Context, role string, log *slog.Logger) error {
	db, err := postgres.Open(ctx, postgres.Options{
		URL: os.Getenv(tortureDatabase), Name: "torture " + role, PoolSize: 12, ConnectTimeout: time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	})
	if err != nil {
		return err
	}
	defer postgres.Close(db)
	metrics := NewMetrics(prometheus.NewRegistry())
	queue, err := NewJobs(db, metrics)
	if err != nil {
		return err
	}
	guard := failopen.NewGuard(failopen.Options{URL: os.Getenv(tortureRedis)}, newReporter())
	tasks, err := NewTasks(guard, queue, metrics)
	if err != nil {
		return err
	}
	probing := make(chan error, 1)
	background, stop := context.WithCancel(context.Background())
	go func() { probing <- guard.Run(background) }()
	defer func() {
		stop()
		if err := <-probing; err != nil {
			log.Warn("Probe of Redis ended with an error", "error", err)
		}
	}()
	if kind, backend, is := strings.Cut(role, " of "); is {
		return stopAs(ctx, kind, backend, db)
	}
	if backend, is := strings.CutPrefix(role, "limited-"); is {
		return workLimited(ctx, Backend(backend), db, tasks.OutboxHandlers(), log, metrics)
	}
	done := func(ctx context.Context, number int64) error {
		if _, err := db.Exec(ctx, `SELECT pg_sleep(0.02)`); err != nil {
			return err
		}
		_, err := db.Exec(ctx, `INSERT INTO worked (number) VALUES ($1) ON CONFLICT (number) DO UPDATE SET runs = worked.runs + 1`, number)
		return err
	}
	switch role {
	case "steps":
		return workSteps(ctx, db, PGWorkerOptions{
			Concurrency: map[Queue]int{Default: 1}, ShutdownTimeout: time.Second, Log: log, Metrics: metrics, Reporter: newReporter(),
		})
	case "producer":
		return produce(ctx, db, queue, tasks)
	case "pg":
		number := Handle(func(ctx context.Context, job numberJob) error { return done(ctx, job.Number) })
		worker, err := NewPGWorker(db, append(Handlers{number}, tasks.OutboxHandlers()...), PGWorkerOptions{
			Concurrency: map[Queue]int{Critical: 1, Default: 8, Low: 1}, ShutdownTimeout: 5 * time.Second,
			Version: "torture", Log: log, Metrics: metrics, Reporter: newReporter(),
		})
		if err != nil {
			return err
		}
		return worker.Run(ctx)
	default:
		number := Handle(func(ctx context.Context, task numberTask) error { return done(ctx, task.Number) })
		worker, err := NewRedisWorker(db, Handlers{number}, RedisWorkerOptions{
			URL: os.Getenv(tortureRedis), PoolSize: 10, Servers: 2, Concurrency: 8,
			CheckInterval: 10 * time.Millisecond, ShutdownTimeout: 5 * time.Second,
			Version: "torture", Log: log, Metrics: metrics, Reporter: newReporter(),
		})
		if err != nil {
			return err
		}
		return worker.Run(ctx)
	}
}
