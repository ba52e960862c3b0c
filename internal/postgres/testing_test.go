package postgres_test

import (
	"context"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack"
	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
)

// patience is how long a test waits for a condition before it fails.
const patience = stacktest.Patience

// one and two are the migrations of an application before and after a change.
var (
	one fs.FS = fstest.MapFS{"00001_create_mugs.sql": {
		Data: []byte("-- +goose Up\nCREATE TABLE mugs (name text PRIMARY KEY, price bigint NOT NULL CHECK (price > 0));\n"),
	}}
	two fs.FS = fstest.MapFS{
		"00001_create_mugs.sql":  one.(fstest.MapFS)["00001_create_mugs.sql"],
		"00002_create_lamps.sql": {Data: []byte("-- +goose Up\nCREATE TABLE lamps (name text PRIMARY KEY);\n")},
	}
)

func openDatabase(t *testing.T, address string) *pgxpool.Pool {
	t.Helper()
	return openWith(t, address, func(*postgres.Options) {})
}

func openWith(t *testing.T, address string, change func(*postgres.Options)) *pgxpool.Pool {
	t.Helper()
	options := postgres.Options{
		URL: address, Name: "test", PoolSize: 5, ConnectTimeout: 2 * time.Second,
		StatementTimeout: 10 * time.Second, LockTimeout: 5 * time.Second, PingTimeout: time.Second,
	}
	change(&options)
	db, err := postgres.Open(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

func newMigrator(t *testing.T, address string, migrations fs.FS) *postgres.Migrator {
	t.Helper()
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, migrations, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, migrator.Close()) })
	return migrator
}

func migrate(t *testing.T, address string, migrations fs.FS) int {
	t.Helper()
	applied, err := newMigrator(t, address, migrations).Migrate(t.Context())
	require.NoError(t, err)
	return applied
}

func schemaOf(t *testing.T, migrations fs.FS) postgres.Schema {
	t.Helper()
	schema, err := postgres.NeededSchema(migrations)
	require.NoError(t, err)
	return schema
}

// with returns a URL with one more parameter.
func with(t *testing.T, address, name, value string) string {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	query := parsed.Query()
	query.Set(name, value)
	parsed.RawQuery = query.Encode()
	return parsed.String()
}

func execute(t *testing.T, db *pgxpool.Pool, statement string) {
	t.Helper()
	_, err := db.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// bounded returns a context with a timeout, for calls of a database that may be frozen.
func bounded(t *testing.T, timeout time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	t.Cleanup(cancel)
	return ctx
}

// hosts returns the URL of several servers, with the account of the first.
func hosts(t *testing.T, servers ...*devstack.Postgres) string {
	t.Helper()
	parsed, err := url.Parse(servers[0].URL())
	require.NoError(t, err)
	var names []string
	for _, server := range servers {
		names = append(names, net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port())))
	}
	parsed.Host = strings.Join(names, ",")
	return parsed.String()
}
