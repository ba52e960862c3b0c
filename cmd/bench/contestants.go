package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"slipway/internal/jobs"
	"slipway/internal/telemetry"
)

// contestant is one way to work.
type contestant struct {
	name    string
	title   string
	backend jobs.Backend
	many    int // no-op jobs of one round
	start   func(ctx context.Context, s settings, done func(sent int64)) (drained func(context.Context) (bool, error), err error)
}

// The contestants. The first of each backend is ours.
var contestants = []contestant{
	{"ours-pg", "worker-pg", jobs.PG, 20_000, startOursPG},
	{"river-alike", "River, set up alike", jobs.PG, 20_000, startRiverAlike},
	{"river-default", "River, default, MaxWorkers 100", jobs.PG, 2_000, startRiverDefault},
	{"ours-redis", "worker-redis", jobs.Redis, 20_000, startOursRedis},
	{"asynq-one", "asynq, one server", jobs.Redis, 20_000, startAsynqOne},
	{"asynq-four", "asynq, four servers", jobs.Redis, 20_000, startAsynqFour},
}

func find(name string) (contestant, error) {
	for _, one := range contestants {
		if one.name == name {
			return one, nil
		}
	}
	return contestant{}, fmt.Errorf("there is no contestant %s", name)
}

// Private

func startOursPG(ctx context.Context, s settings, done func(int64)) (func(context.Context) (bool, error), error) {
	db, err := openDatabase(ctx, s.pg)
	if err != nil {
		return nil, err
	}
	log, metrics, reporter := runtime("worker-pg")
	worker, err := jobs.NewPGWorker(db, handlers(done), jobs.PGWorkerOptions{
		Concurrency:     map[jobs.Queue]int{jobs.Critical: s.pg.JobsCriticalConcurrency, jobs.Default: s.pg.JobsDefaultConcurrency, jobs.Low: s.pg.JobsLowConcurrency},
		ShutdownTimeout: s.pg.JobsShutdownTimeout, Version: "bench", Log: log, Metrics: metrics, Reporter: reporter,
	})
	if err != nil {
		return nil, err
	}
	go func() { fail(worker.Run(ctx)) }()
	return jobsDrained(db), nil
}

func startRiverAlike(ctx context.Context, s settings, done func(int64)) (func(context.Context) (bool, error), error) {
	queues := map[string]river.QueueConfig{}
	for queue, workers := range map[jobs.Queue]int{jobs.Critical: s.pg.JobsCriticalConcurrency, jobs.Default: s.pg.JobsDefaultConcurrency, jobs.Low: s.pg.JobsLowConcurrency} {
		queues[string(queue)] = river.QueueConfig{MaxWorkers: workers, FetchCooldown: jobs.FetchCooldown(queue)}
	}
	return startRiver(ctx, s, queues, done)
}

func startRiverDefault(ctx context.Context, s settings, done func(int64)) (func(context.Context) (bool, error), error) {
	return startRiver(ctx, s, map[string]river.QueueConfig{string(jobs.Default): {MaxWorkers: 100}}, done)
}

func startRiver(ctx context.Context, s settings, queues map[string]river.QueueConfig, done func(int64)) (func(context.Context) (bool, error), error) {
	config, err := pgxpool.ParseConfig(s.pg.DatabaseURL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(s.pg.DatabasePoolSize)
	db, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &noopWorker{done: done})
	client, err := river.NewClient(riverpgxv5.New(db), &river.Config{Queues: queues, Workers: workers, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return jobsDrained(db), client.Start(ctx)
}

// Work does what all contestants do.
func (w *noopWorker) Work(_ context.Context, job *river.Job[noop]) error {
	w.done(job.Args.Sent)
	return nil
}

func startOursRedis(ctx context.Context, s settings, done func(int64)) (func(context.Context) (bool, error), error) {
	db, err := openDatabase(ctx, s.redis)
	if err != nil {
		return nil, err
	}
	log, metrics, reporter := runtime("worker-redis")
	worker, err := jobs.NewRedisWorker(db, handlers(done), jobs.RedisWorkerOptions{
		URL: s.redis.QueueRedisURL, PoolSize: s.redis.RedisPoolSize, Servers: s.redis.TasksServers, Concurrency: s.redis.TasksConcurrency,
		CheckInterval: s.redis.TasksCheckInterval, ShutdownTimeout: s.redis.JobsShutdownTimeout, Version: "bench",
		Log: log, Metrics: metrics, Reporter: reporter,
	})
	if err != nil {
		return nil, err
	}
	client, err := openRedis(s.redis)
	if err != nil {
		return nil, err
	}
	go func() { fail(worker.Run(ctx)) }()
	return tasksDrained(client), nil
}

func startAsynqOne(_ context.Context, s settings, done func(int64)) (func(context.Context) (bool, error), error) {
	return startAsynq(s, 1, done)
}

func startAsynqFour(_ context.Context, s settings, done func(int64)) (func(context.Context) (bool, error), error) {
	return startAsynq(s, 4, done)
}

// startAsynq gives servers the concurrency of ours together.
func startAsynq(s settings, servers int, done func(int64)) (func(context.Context) (bool, error), error) {
	client, err := openRedis(s.redis)
	if err != nil {
		return nil, err
	}
	for range servers {
		server := asynq.NewServerFromRedisClient(client, asynq.Config{
			Concurrency: max(s.redis.TasksConcurrency/servers, 1), Queues: map[string]int{string(jobs.Default): 1}, LogLevel: asynq.FatalLevel,
		})
		err := server.Start(asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
			var args noop
			if err := json.Unmarshal(task.Payload(), &args); err != nil {
				return err
			}
			done(args.Sent)
			return nil
		}))
		if err != nil {
			return nil, err
		}
	}
	return tasksDrained(client), nil
}

// handlers are the same for both of ours.
func handlers(done func(int64)) jobs.Handlers {
	return jobs.Handlers{
		jobs.Handle(func(_ context.Context, args noop) error {
			done(args.Sent)
			return nil
		}),
		jobs.Handle(func(ctx context.Context, args mixed) error {
			defer done(0)
			return mix(ctx, args.Number)
		}),
	}
}

// runtime is what a role has around its worker. The log is what production
// writes; the parent throws it away.
func runtime(role string) (*slog.Logger, *jobs.Metrics, *telemetry.Reporter) {
	var output io.Writer = stderr
	log := telemetry.NewLogger(output, slog.LevelInfo, true, role)
	registry := telemetry.NewRegistry()
	return log, jobs.NewMetrics(registry), telemetry.NewReporter(log, registry)
}

// jobsDrained tells whether all jobs are stored as completed.
func jobsDrained(db *pgxpool.Pool) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		rows, err := db.Query(ctx, `SELECT NOT EXISTS (SELECT FROM river_job WHERE state IN ('available', 'running'))`)
		if err != nil {
			return false, err
		}
		return pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
	}
}

// tasksDrained tells whether all tasks are acknowledged.
func tasksDrained(client *redis.Client) func(context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		prefix := "asynq:{" + string(jobs.Default) + "}:"
		left, err := client.Exists(ctx, prefix+"pending", prefix+"active").Result()
		return left == 0, err
	}
}

// mix does a little of what work does: one in ten waits, one in fifty fails or
// is put off once in a while, one in five hundred panics.
func mix(ctx context.Context, number int) error {
	switch {
	case number%500 == 499 && time.Now().UnixNano()%2 == 0:
		panic("one in five hundred")
	case number%50 == 1 && time.Now().UnixNano()%2 == 0:
		return fmt.Errorf("one in fifty: %d", number)
	case number%50 == 2 && time.Now().UnixNano()%2 == 0:
		return jobs.Snooze(time.Second, "one in fifty")
	case number%10 == 3:
		return pause(ctx, 20*time.Millisecond)
	}
	return nil
}
