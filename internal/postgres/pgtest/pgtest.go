// Package pgtest gives every test a database of its own, which PostgreSQL clones in
// milliseconds from one that was migrated once.
package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
)

// New returns a pool on a migrated database that only this test knows, and
// drops the database when the test ends.
func New(t testing.TB, migrations fs.FS) *pgxpool.Pool {
	t.Helper()
	pool, err := postgres.Open(t.Context(), options(URL(t, migrations), t.Name(), 20))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// URL returns the address of a migrated database that only this test knows.
func URL(t testing.TB, migrations fs.FS) string {
	t.Helper()
	return create(t, fmt.Sprintf("TEMPLATE %s", template(t, migrations)))
}

// Empty returns the address of a database without any tables.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, "")
}

// Private

func options(address, name string, poolSize int) postgres.Options {
	return postgres.Options{
		URL: address, Name: name, PoolSize: poolSize, ConnectTimeout: 5 * time.Second, StatementTimeout: 20 * time.Second,
		LockTimeout: 10 * time.Second, PingTimeout: time.Second,
	}
}

// server is the PostgreSQL that bin/test starts.
func server(t testing.TB) string {
	t.Helper()
	address := os.Getenv("TEST_DATABASE_URL")
	require.NotEmpty(t, address, "this test needs PostgreSQL: run bin/test ./internal/..., which brings its own, or set TEST_DATABASE_URL")
	return address
}

func create(t testing.TB, options string) string {
	t.Helper()
	name := "test_" + strings.ToLower(rand.Text()[:16])
	onServer(t, func(ctx context.Context, connection *pgx.Conn) {
		_, err := connection.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s %s", name, options))
		require.NoError(t, err)
	})
	t.Cleanup(func() {
		onServer(t, func(ctx context.Context, connection *pgx.Conn) {
			_, err := connection.Exec(ctx, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name))
			require.NoError(t, err)
		})
	})
	return named(t, name)
}

// template returns the name of the migrated database. The first test of all
// packages creates it. The name holds the hash of the migrations, so a changed
// migration leads to a new database.
func template(t testing.TB, migrations fs.FS) string {
	t.Helper()
	name := "template_" + hashOf(t, migrations)
	onServer(t, func(ctx context.Context, connection *pgx.Conn) {
		_, err := connection.Exec(ctx, `SELECT pg_advisory_lock(hashtext($1))`, name)
		require.NoError(t, err)
		defer func() {
			_, err := connection.Exec(ctx, `SELECT pg_advisory_unlock(hashtext($1))`, name)
			require.NoError(t, err)
		}()

		var ready bool
		err = connection.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)`, name).Scan(&ready)
		require.NoError(t, err)
		if ready {
			return
		}
		// A database with that name that is no template was left unfinished.
		_, err = connection.Exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name))
		require.NoError(t, err)
		_, err = connection.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s", name))
		require.NoError(t, err)
		migrate(ctx, t, named(t, name), migrations)
		_, err = connection.Exec(ctx, fmt.Sprintf("ALTER DATABASE %s WITH IS_TEMPLATE true ALLOW_CONNECTIONS false", name))
		require.NoError(t, err)
	})
	return name
}

func migrate(ctx context.Context, t testing.TB, address string, migrations fs.FS) {
	t.Helper()
	migrator, err := postgres.NewMigrator(ctx, address, 5*time.Second, migrations, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	_, err = migrator.Migrate(ctx)
	require.NoError(t, err)
	require.NoError(t, migrator.Close())
}

func hashOf(t testing.TB, migrations fs.FS) string {
	t.Helper()
	sum := sha256.New()
	files, err := fs.Glob(migrations, "*.sql")
	require.NoError(t, err)
	for _, file := range files {
		content, err := fs.ReadFile(migrations, file)
		require.NoError(t, err)
		fmt.Fprintf(sum, "%s %d\n%s", file, len(content), content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// named returns the address of another database on the same server.
func named(t testing.TB, name string) string {
	t.Helper()
	address, err := url.Parse(server(t))
	require.NoError(t, err)
	address.Path = "/" + name
	return address.String()
}

func onServer(t testing.TB, use func(ctx context.Context, connection *pgx.Conn)) {
	t.Helper()
	// A clean-up runs after the test's own context has ended.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	connection, err := pgx.Connect(ctx, server(t))
	require.NoError(t, err)
	defer connection.Close(ctx)
	use(ctx, connection)
}
