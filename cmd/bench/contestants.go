package main

import (
	"context"
	"encoding/json"
	"fmt"
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

// contestant is one implementation of a worker.
type contestant struct {
	name    string
	title   string
	backend jobs.Backend
	many    int // no-op jobs in one round
	start   startFunc
}

// startFunc starts a contestant's worker, which calls done for each job with the time
// at which it was enqueued. It returns a function that reports whether the backend
// has no jobs left.
type startFunc func(ctx context.Context, s settings, done func(sent int64)) (drainedFunc, error)

type drainedFunc func(context.Context) (bool, error)

// Each of the contestants is compared with the first one of its backend, which is
// the runtime's worker.
var contestants = []contestant{
	{"ours-pg", "worker-pg", jobs.PG, 40_000, startOursPG},
	{"river-500", "River at its best, 500 workers, 1 ms", jobs.PG, 40_000, startRiver500},
	{"river-1000", "River at its best, 1,000 workers, 1 ms", jobs.PG, 40_000, startRiver1000},
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
	return contestant{}, fmt.Errorf("no contestant %s", name)
}

// Private

func startOursPG(ctx context.Context, s settings, done func(int64)) (drainedFunc, error) {
	db, err := openDatabase(ctx, s.pg)
	if err != nil {
		return nil, err
	}
	ofRiver := s.pg
	ofRiver.DatabasePoolSize = jobs.RiverPoolSize
	riverDB, err := openDatabase(ctx, ofRiver)
	if err != nil {
		return nil, err
	}
	log, metrics, reporter := runtime("worker-pg")
	worker, err := jobs.NewPGWorker(db, handlers(done), jobs.PGWorkerOptions{
		River:       riverDB,
		Concurrency: concurrency(s), ShutdownTimeout: s.pg.JobsShutdownTimeout, Version: "bench", Log: log, Metrics: metrics, Reporter: reporter,
	})
	if err != nil {
		return nil, err
	}
	go func() { exitOnError(worker.Run(ctx)) }()
	return jobsDrained(db), nil
}

func concurrency(s settings) map[jobs.Queue]int {
	return map[jobs.Queue]int{
		jobs.Critical: s.pg.JobsCriticalConcurrency, jobs.Default: s.pg.JobsDefaultConcurrency, jobs.Low: s.pg.JobsLowConcurrency,
	}
}

// startRiverAlike starts plain River with the queues and settings of the runtime.
func startRiverAlike(ctx context.Context, s settings, done func(int64)) (drainedFunc, error) {
	queues := map[string]river.QueueConfig{}
	for queue, workers := range concurrency(s) {
		queues[string(queue)] = river.QueueConfig{MaxWorkers: workers, FetchCooldown: jobs.FetchCooldown(queue)}
	}
	return startRiver(ctx, s, queues, done)
}

func startRiverDefault(ctx context.Context, s settings, done func(int64)) (drainedFunc, error) {
	return startRiver(ctx, s, map[string]river.QueueConfig{string(jobs.Default): {MaxWorkers: 100}}, done)
}

// startRiver500 and startRiver1000 start plain River as its documentation shows, but with
// so many workers and the shortest cooldown that it works the fastest.
func startRiver500(ctx context.Context, s settings, done func(int64)) (drainedFunc, error) {
	return startRiverAtBest(ctx, s, 500, done)
}

func startRiver1000(ctx context.Context, s settings, done func(int64)) (drainedFunc, error) {
	return startRiverAtBest(ctx, s, 1000, done)
}

func startRiverAtBest(ctx context.Context, s settings, workers int, done func(int64)) (drainedFunc, error) {
	queue := river.QueueConfig{MaxWorkers: workers, FetchCooldown: time.Millisecond}
	return startRiver(ctx, s, map[string]river.QueueConfig{string(jobs.Default): queue}, done)
}

func startRiver(ctx context.Context, s settings, queues map[string]river.QueueConfig, done func(int64)) (drainedFunc, error) {
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
	client, err := river.NewClient(riverpgxv5.New(db), &river.Config{
		Queues: queues, Workers: workers, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	return jobsDrained(db), client.Start(ctx)
}

// Work does what the handlers of all contestants do.
func (w *noopWorker) Work(_ context.Context, job *river.Job[noop]) error {
	w.done(job.Args.Sent)
	return nil
}

func startOursRedis(ctx context.Context, s settings, done func(int64)) (drainedFunc, error) {
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
	go func() { exitOnError(worker.Run(ctx)) }()
	return tasksDrained(client), nil
}

func startAsynqOne(_ context.Context, s settings, done func(int64)) (drainedFunc, error) {
	return startAsynq(s, 1, done)
}

func startAsynqFour(_ context.Context, s settings, done func(int64)) (drainedFunc, error) {
	return startAsynq(s, 4, done)
}

// startAsynq starts plain asynq servers that share the concurrency of the runtime's
// worker.
func startAsynq(s settings, servers int, done func(int64)) (drainedFunc, error) {
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

// handlers returns the handlers of the runtime's workers.
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

// runtime returns the log, metrics and reporter that a role gives its worker. The log
// is as in production, and the parent process discards it.
func runtime(role string) (*slog.Logger, *jobs.Metrics, *telemetry.Reporter) {
	log := telemetry.NewLogger(stderr, telemetry.LogOptions{Level: slog.LevelInfo, JSON: true, Role: role})
	registry := telemetry.NewRegistry()
	return log, jobs.NewMetrics(registry), telemetry.NewReporter(log, registry)
}

// jobsDrained returns a function that reports whether all jobs are completed in the
// database.
func jobsDrained(db *pgxpool.Pool) drainedFunc {
	return func(ctx context.Context) (bool, error) {
		rows, err := db.Query(ctx, `SELECT NOT EXISTS (SELECT FROM river_job WHERE state IN ('available', 'running'))`)
		if err != nil {
			return false, err
		}
		return pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
	}
}

// tasksDrained returns a function that reports whether all tasks are acknowledged.
func tasksDrained(client *redis.Client) drainedFunc {
	return func(ctx context.Context) (bool, error) {
		prefix := "asynq:{" + string(jobs.Default) + "}:"
		left, err := client.Exists(ctx, prefix+"pending", prefix+"active").Result()
		return left == 0, err
	}
}

// mix is a job with mixed outcomes: one in ten waits, one in fifty sometimes fails or
// snoozes, one in five hundred sometimes panics.
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
