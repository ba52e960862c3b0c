package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"slipway/internal/config"
	"slipway/internal/failopen"
	"slipway/internal/postgres"
)

// settings are the environment variables of both workers.
type settings struct{ pg, redis config.Config }

func readSettings() (settings, error) {
	variables, err := config.Environ(".")
	if err != nil {
		return settings{}, err
	}
	runtime := config.NewSchema(nil)
	pg, _, pgProblems := runtime.Load(config.WorkerPG, variables)
	redis, _, redisProblems := runtime.Load(config.WorkerRedis, variables)
	return settings{pg: pg, redis: redis}, errors.Join(pgProblems, redisProblems)
}

// openDatabase opens a pool with a worker's settings.
func openDatabase(ctx context.Context, worker config.Config) (*pgxpool.Pool, error) {
	return postgres.Open(ctx, postgres.Options{
		URL: worker.DatabaseURL, Name: "bench", PoolSize: worker.DatabasePoolSize, ConnectTimeout: worker.DatabaseConnectTimeout,
		StatementTimeout: worker.WorkerStatementTimeout, LockTimeout: worker.DatabaseLockTimeout, PingTimeout: worker.DatabasePingTimeout,
	})
}

// openRedis opens a client with a worker's settings, for plain asynq.
func openRedis(worker config.Config) (*redis.Client, error) {
	options, err := failopen.PatientOptions(worker.QueueRedisURL, max(worker.RedisPoolSize, 2*worker.TasksConcurrency))
	if err != nil {
		return nil, err
	}
	return redis.NewClient(options), nil
}

// guardOptions returns the options of a guard with the settings of worker-redis.
func guardOptions(worker config.Config) failopen.Options {
	return failopen.Options{
		URL: worker.QueueRedisURL, Timeout: worker.RedisTimeout, DialTimeout: worker.RedisDialTimeout, PoolTimeout: worker.RedisPoolTimeout,
		PoolSize: worker.RedisPoolSize, MaxInFlight: worker.RedisMaxInFlight,
		Failures: worker.RedisFailures, ProbeInterval: worker.RedisProbeInterval,
	}
}

// pause waits for d. It returns an error when ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
