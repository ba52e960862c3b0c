package main

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// faultyPostgres is a PostgreSQL server that a test may damage, and a web process
// on it. The web process is no superuser there: those have reserved connections.
type faultyPostgres struct {
	t        *testing.T
	d        *deployment
	postgres *devstack.Postgres
	adminURL string
	web      *appProcess

	readTables   []string // that every page reads
	writtenTable string   // that only forms use
}

func newFaultyPostgres(t *testing.T, d *deployment, postgres *devstack.Postgres) *faultyPostgres {
	t.Helper()
	f := &faultyPostgres{t: t, d: d, postgres: postgres, adminURL: postgres.URL()}
	f.admin(`CREATE ROLE visitor LOGIN PASSWORD 'visitor' IN ROLE slipway`, `ALTER ROLE visitor SET role = slipway`)
	address, err := url.Parse(f.adminURL)
	require.NoError(t, err)
	address.User = url.UserPassword("visitor", "visitor")
	f.web = d.start("web", "DATABASE_URL="+address.String(), "DATABASE_POOL_SIZE=4",
		"DATABASE_STATEMENT_TIMEOUT=1500ms", "DATABASE_ACQUIRE_TIMEOUT=700ms")
	f.web.eventually(func() bool { return f.web.health().Status == "ok" }, "is healthy")
	return f
}

// admin runs statements as the superuser, over one connection.
func (f *faultyPostgres) admin(statements ...string) {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	defer connection.Close(context.Background())
	for _, statement := range statements {
		_, err := connection.Exec(f.t.Context(), statement)
		require.NoError(f.t, err, statement)
	}
}

// configure runs statements that change the configuration, and waits until new
// sessions have it. By then the server has told the others.
func (f *faultyPostgres) configure(statements ...string) {
	f.t.Helper()
	connect := func() *pgx.Conn {
		connection, err := pgx.Connect(f.t.Context(), f.adminURL)
		require.NoError(f.t, err)
		return connection
	}
	var before time.Time
	connection := connect()
	require.NoError(f.t, connection.QueryRow(f.t.Context(), `SELECT clock_timestamp()`).Scan(&before))
	require.NoError(f.t, connection.Close(context.Background()))
	f.admin(append(statements, `SELECT pg_reload_conf()`)...)
	stacktest.Eventually(f.t, func() bool {
		connection := connect()
		defer connection.Close(context.Background())
		var loaded bool
		require.NoError(f.t, connection.QueryRow(f.t.Context(), `SELECT pg_conf_load_time() > $1`, before).Scan(&loaded))
		return loaded
	})
}

// terminate ends every connection of the web process.
func (f *faultyPostgres) terminate() {
	f.t.Helper()
	f.admin(`SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'visitor'`)
}

// lock makes every statement on tables wait.
func (f *faultyPostgres) lock(tables ...string) (release func()) {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	_, err = connection.Exec(f.t.Context(), `BEGIN; LOCK TABLE `+strings.Join(tables, ", "))
	require.NoError(f.t, err)
	return func() { require.NoError(f.t, connection.Close(context.Background())) }
}

// shutDown ends PostgreSQL as an operator does: it reports the end to its clients.
func (f *faultyPostgres) shutDown() {
	f.t.Helper()
	connection, err := pgx.Connect(f.t.Context(), f.adminURL)
	require.NoError(f.t, err)
	var pid string
	require.NoError(f.t, connection.QueryRow(f.t.Context(), `SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)`).Scan(&pid))
	require.NoError(f.t, connection.Close(context.Background()))
	number, err := strconv.Atoi(pid)
	require.NoError(f.t, err)
	require.NoError(f.t, syscall.Kill(number, syscall.SIGINT))
	stacktest.Eventually(f.t, func() bool {
		_, err := pgx.Connect(f.t.Context(), f.adminURL)
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}
