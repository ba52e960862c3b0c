package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
)

// deployment is the store as real processes on a database and a Redis of its
// own.
type deployment struct {
	t           *testing.T
	databaseURL string
	redis       *devstack.Redis
	mailDir     string
	environment map[string]string
}

// deploy prepares a migrated and seeded store. Its PostgreSQL is shared with
// other tests.
func deploy(t *testing.T) *deployment {
	t.Helper()
	d := deployOn(t, pgtest.URL(t, shop.Migrations()))
	d.command("seed")
	return d
}

// deployOn prepares a store on a database that may be empty.
func deployOn(t *testing.T, databaseURL string) *deployment {
	t.Helper()
	redis, err := devstack.StartRedis(t.Context(), devstack.RedisOptions{Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, redis.Stop(context.Background())) })
	d := &deployment{t: t, databaseURL: databaseURL, redis: redis, mailDir: t.TempDir()}
	d.environment = map[string]string{
		"APP_ENV": "test", "DATABASE_URL": databaseURL, "REDIS_URL": redis.URL(), "QUEUE_REDIS_URL": "",
		"MAIL_DIR": d.mailDir, "SMTP_URL": "", "PORT": "", "OPS_PORT": "", "BASE_URL": "http://leeward.example", "KAMAL_VERSION": "",
		"ORDER_LIMIT":         "0",     // tests order often, and from one address
		"RACK_ATTACK_ENABLED": "false", // everything comes from one address
	}
	return d
}

// start runs a role. More are variables as NAME=value.
func (d *deployment) start(role string, more ...string) *appProcess {
	d.t.Helper()
	port, ops := nextPort.Add(1), nextPort.Add(1)
	more = append([]string{fmt.Sprintf("OPS_PORT=%d", ops), fmt.Sprintf("PORT=%d", port)}, more...)

	p := d.launch(more, role)
	p.ops = fmt.Sprintf("http://127.0.0.1:%d", ops)
	if role == "web" {
		p.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	p.eventually(func() bool { return status(p.ops+"/up") != 0 }, "answers /up")
	return p
}

// nextPort hands out ports below those that the kernel hands out.
var nextPort atomic.Int32

func init() { nextPort.Store(6000 + int32(os.Getpid()%4000)) }

// startAll runs all three roles and waits until they are up and well.
func (d *deployment) startAll() (web, workerPG, workerRedis *appProcess) {
	d.t.Helper()
	web, workerPG, workerRedis = d.start("web"), d.start("worker-pg"), d.start("worker-redis", "LOG_LEVEL=debug")
	for _, p := range []*appProcess{web, workerPG, workerRedis} {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
	return web, workerPG, workerRedis
}

// command runs a command to its end.
func (d *deployment) command(args ...string) {
	d.t.Helper()
	p := d.launch(nil, args...)
	<-p.done
	require.Zero(d.t, p.cmd.ProcessState.ExitCode(), p.output.String())
}

// query reads one number from the database.
func (d *deployment) query(sql string, arguments ...any) int64 {
	d.t.Helper()
	connection, err := pgx.Connect(d.t.Context(), d.databaseURL)
	require.NoError(d.t, err)
	defer connection.Close(context.Background())
	var number int64
	require.NoError(d.t, connection.QueryRow(d.t.Context(), sql, arguments...).Scan(&number))
	return number
}

// deployAlone prepares a store whose PostgreSQL the test may stop, too.
func deployAlone(t *testing.T) (*deployment, *devstack.Postgres) {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755)) // PostgreSQL does not run as root
	postgres, err := devstack.StartPostgres(t.Context(), devstack.PostgresOptions{Dir: dir})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, postgres.Stop(context.Background())) })
	d := deployOn(t, postgres.URL())
	d.command("migrate")
	d.command("seed")
	return d, postgres
}

func (d *deployment) execute(statement string, arguments ...any) {
	d.t.Helper()
	connection, err := pgx.Connect(d.t.Context(), d.databaseURL)
	require.NoError(d.t, err)
	defer connection.Close(context.Background())
	_, err = connection.Exec(d.t.Context(), statement, arguments...)
	require.NoError(d.t, err)
}
