package devstack

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestStart_TwoStacksRunAtOnce(t *testing.T) {
	t.Parallel()
	first := startStack(t, Options{Dir: t.TempDir()})
	second := startStack(t, Options{Dir: t.TempDir(), Database: "other"})

	execute(t, first.DatabaseURL(), `CREATE TABLE mugs (id int)`)
	execute(t, second.DatabaseURL(), `CREATE TABLE mugs (id int)`)

	require.NotEqual(t, first.Postgres.Port(), second.Postgres.Port())
	require.NotEqual(t, first.Redis.Port(), second.Redis.Port())
	require.Equal(t, "slipway_development", query(t, first.DatabaseURL(), `SELECT current_database()`))
	require.Equal(t, "other", query(t, second.DatabaseURL(), `SELECT current_database()`))
	require.NoError(t, second.Redis.ping(t.Context()))
}

func TestStart_RetainsDataAndURLWhenDurable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startStack(t, Options{Dir: dir, Durable: true})
	execute(t, first.DatabaseURL(), `CREATE TABLE mugs AS SELECT 'blue' AS colour`)
	require.NoError(t, first.Redis.call(t.Context(), "SET colour blue", "+OK"))
	require.NoError(t, first.Stop(t.Context()))

	second := startStack(t, Options{Dir: dir, Durable: true})

	require.Equal(t, first.DatabaseURL(), second.DatabaseURL())
	require.Equal(t, first.RedisURL(), second.RedisURL())
	require.Equal(t, "blue", query(t, second.DatabaseURL(), `SELECT colour FROM mugs`))
	require.NoError(t, second.Redis.call(t.Context(), "GET colour", "$4", "blue"))
	require.Equal(t, "on", query(t, second.DatabaseURL(), `SHOW fsync`))
}

func TestStart_FreshDeletesData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := startStack(t, Options{Dir: dir, Durable: true})
	execute(t, first.DatabaseURL(), `CREATE TABLE mugs (id int)`)
	require.NoError(t, first.Redis.call(t.Context(), "SET colour blue", "+OK"))
	require.NoError(t, first.Stop(t.Context()))

	second := startStack(t, Options{Dir: dir, Durable: true, Fresh: true})

	require.Equal(t, "0", query(t, second.DatabaseURL(), `SELECT count(*)::text FROM pg_tables WHERE tablename = 'mugs'`))
	require.NoError(t, second.Redis.call(t.Context(), "GET colour", "$-1"))
}

func TestStart_DeletesDataUnlessDurable(t *testing.T) {
	t.Parallel()
	stack := startStack(t, Options{Dir: t.TempDir()})
	require.Equal(t, "off", query(t, stack.DatabaseURL(), `SHOW fsync`))

	require.NoError(t, stack.Stop(t.Context()))

	require.NoDirExists(t, stack.Postgres.home)
	require.NoDirExists(t, stack.Redis.dataDir())
	require.NoError(t, stack.Stop(t.Context()))
}

func TestStart_RefusesADirectoryInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	startStack(t, Options{Dir: dir})

	_, err := Start(t.Context(), Options{Dir: dir})

	require.ErrorContains(t, err, "is in use by process")
}

func TestStart_UsesGivenURLsInstead(t *testing.T) {
	t.Parallel()

	stack := startStack(t, Options{Dir: t.TempDir(), DatabaseURL: "postgres://elsewhere/app", RedisURL: "redis://elsewhere"})

	require.Nil(t, stack.Postgres)
	require.Nil(t, stack.Redis)
	require.Equal(t, "postgres://elsewhere/app", stack.DatabaseURL())
	require.Equal(t, "redis://elsewhere", stack.RedisURL())
}

func TestStart_WorksBelowADirectoryOfRoot(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root runs PostgreSQL as another user")
	}
	closed := filepath.Join(t.TempDir(), "closed")
	require.NoError(t, os.Mkdir(closed, 0o700))
	var log bytes.Buffer

	stack := startStack(t, Options{Dir: filepath.Join(closed, "stack"), Log: &log})

	require.Contains(t, log.String(), "its data is in "+os.TempDir())
	info, err := os.Stat(stack.Postgres.home)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	require.EqualValues(t, stack.Postgres.account.uid, info.Sys().(*syscall.Stat_t).Uid)
}

func TestStart_ErrorNamesThePackageToInstall(t *testing.T) {
	t.Parallel()

	_, postgresErr := StartPostgres(t.Context(), PostgresOptions{Dir: t.TempDir(), Binaries: t.TempDir()})
	_, redisErr := StartRedis(t.Context(), RedisOptions{Dir: t.TempDir(), Binary: filepath.Join(t.TempDir(), "redis-server")})

	require.ErrorContains(t, postgresErr, "install the Debian package postgresql")
	require.ErrorContains(t, redisErr, "install the Debian package redis-server")
}

func TestStart_ErrorHasTheLogOfAServerThatFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken := filepath.Join(dir, "redis-server")
	require.NoError(t, os.WriteFile(broken, []byte("#!/bin/sh\necho no memory for the fleet\nexit 3\n"), 0o755))

	_, err := StartRedis(t.Context(), RedisOptions{Dir: dir, Binary: broken})

	require.ErrorContains(t, err, "code 3")
	require.ErrorContains(t, err, "no memory for the fleet")
}

// Private

func startStack(t *testing.T, options Options) *Stack {
	t.Helper()
	stack, err := Start(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, stack.Stop(ctx))
		if stack.Postgres != nil {
			require.NoError(t, os.RemoveAll(stack.Postgres.home))
		}
	})
	return stack
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func query(t *testing.T, url, sql string) (text string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&text))
	return text
}
