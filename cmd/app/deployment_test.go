package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/mail"
	"slipway/internal/postgres/pgtest"
)

// testSecret is a key that production accepts.
const testSecret = "9f1c6a7be04d52837c5fe1a09b3d826470c4e8b15da23f96"

// deployment is an application as real processes, on a database and a Redis of
// its own.
type deployment struct {
	t           *testing.T
	program     string // this test binary, unless a test sets another
	app         string // see TestMain
	databaseURL string
	redis       *devstack.Redis
	mailDir     string
	environment map[string]string
}

// deploy prepares the test application on a migrated database. The PostgreSQL
// server is shared with other tests.
func deploy(t *testing.T) *deployment {
	t.Helper()
	return deployOn(t, pgtest.URL(t, testApplication().migrations)).patient()
}

// deployOn prepares the test application on a database that may be empty.
func deployOn(t *testing.T, databaseURL string) *deployment {
	t.Helper()
	return newDeployment(t, isTestApplication, databaseURL)
}

// deployAlone prepares the test application on a PostgreSQL server that the test
// may stop.
func deployAlone(t *testing.T) (*deployment, *devstack.Postgres) {
	t.Helper()
	postgres := stacktest.Postgres(t)
	d := deployOn(t, postgres.URL())
	d.command("migrate")
	return d, postgres
}

func newDeployment(t *testing.T, app, databaseURL string) *deployment {
	t.Helper()
	d := &deployment{t: t, program: os.Args[0], app: app, databaseURL: databaseURL, redis: stacktest.Redis(t), mailDir: t.TempDir()}
	d.environment = map[string]string{
		"APP_ENV": "test", "DATABASE_URL": databaseURL, "REDIS_URL": d.redis.URL(), "QUEUE_REDIS_URL": "",
		"MAIL_DIR": d.mailDir, "SMTP_URL": "", "PORT": "", "OPS_PORT": "", "BASE_URL": "http://app.example", "KAMAL_VERSION": "",
		"RACK_ATTACK_ENABLED": "false", // all requests come from one address
	}
	return d
}

// patient lets a page wait longer for a connection. The PostgreSQL server works, and
// beside a browser and compilers a login may take more than a second.
func (d *deployment) patient() *deployment {
	d.environment["DATABASE_ACQUIRE_TIMEOUT"] = "5s"
	return d
}

// start runs a role. More are variables as NAME=value.
func (d *deployment) start(role string, more ...string) *appProcess {
	d.t.Helper()
	port, ops := stacktest.Port(d.t), stacktest.Port(d.t)
	more = append([]string{fmt.Sprintf("OPS_PORT=%d", ops), fmt.Sprintf("PORT=%d", port)}, more...)

	p := d.launch(more, role)
	p.ops = fmt.Sprintf("http://127.0.0.1:%d", ops)
	if role == "web" {
		p.url = fmt.Sprintf("http://127.0.0.1:%d", port)
	}
	p.eventually(func() bool { return status(p.ops+"/up") != 0 }, "answers /up")
	return p
}

// startAll runs all three roles and waits until they are healthy.
func (d *deployment) startAll() (web, workerPG, workerRedis *appProcess) {
	d.t.Helper()
	web, workerPG, workerRedis = d.start("web"), d.start("worker-pg"), d.start("worker-redis", "LOG_LEVEL=debug")
	for _, p := range []*appProcess{web, workerPG, workerRedis} {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
	return web, workerPG, workerRedis
}

// startBeforeBackends runs all three roles while both backends are stopped. It
// starts the backends when the roles wait, and returns when the roles are healthy.
func (d *deployment) startBeforeBackends(postgres *devstack.Postgres) (web, workerPG *appProcess) {
	d.t.Helper()
	require.NoError(d.t, postgres.Kill())
	require.NoError(d.t, d.redis.Kill())

	web, workerPG = d.start("web"), d.start("worker-pg")
	all := []*appProcess{web, workerPG, d.start("worker-redis")}
	for _, p := range all {
		p.eventually(func() bool { return p.health().Status == "error" }, "reports that it cannot work")
		p.eventually(func() bool { return status(p.ops+"/up") == http.StatusOK }, "is up and waits")
	}
	require.NoError(d.t, postgres.Restart(d.t.Context()))
	require.NoError(d.t, d.redis.Restart(d.t.Context()))

	for _, p := range all {
		p.eventually(func() bool { return p.health().Status == "ok" }, "is healthy")
	}
	return web, workerPG
}

// command runs a command to its end.
func (d *deployment) command(args ...string) {
	d.t.Helper()
	p := d.launch(nil, args...)
	<-p.done
	require.Zero(d.t, p.cmd.ProcessState.ExitCode(), p.output.String())
}

// query returns the one number that a statement returns.
func (d *deployment) query(sql string, arguments ...any) int64 {
	d.t.Helper()
	connection, err := pgx.Connect(d.t.Context(), d.databaseURL)
	require.NoError(d.t, err)
	defer connection.Close(context.Background())
	var number int64
	require.NoError(d.t, connection.QueryRow(d.t.Context(), sql, arguments...).Scan(&number))
	return number
}

// mails are the mails that were sent.
func (d *deployment) mails() []mail.Stored {
	d.t.Helper()
	stored, err := mail.NewDirectory(d.mailDir, "").List(100)
	require.NoError(d.t, err)
	return stored
}

// confirmed and archived count the notes that the job and the durable task of the
// test application have dealt with.
func (d *deployment) confirmed() int64 {
	d.t.Helper()
	return d.query(`SELECT count(*) FROM notes WHERE confirmed_at IS NOT NULL`)
}

func (d *deployment) archived() int64 {
	d.t.Helper()
	return d.query(`SELECT count(*) FROM notes WHERE archived_at IS NOT NULL`)
}

func (d *deployment) execute(statement string) {
	d.t.Helper()
	connection, err := pgx.Connect(d.t.Context(), d.databaseURL)
	require.NoError(d.t, err)
	defer connection.Close(context.Background())
	_, err = connection.Exec(d.t.Context(), statement)
	require.NoError(d.t, err)
}
