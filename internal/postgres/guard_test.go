package postgres_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/devstack/stacktest"
	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/telemetry"
)

func TestGuard_RefusesRequestsWhileTheDatabaseIsSilent(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	migrate(t, server.URL(), one)
	guard, db := guarded(t, server.URL(), time.Minute, 100)
	probe := newProbe(t, server.URL())
	observe := func() {
		began := time.Now()
		guard.Observe(began, probe.Check(bounded(t, 200*time.Millisecond)))
	}
	observe()
	running := make(chan error, 1)
	require.NoError(t, db.Ping(t.Context()))

	require.NoError(t, server.Freeze())
	go func() {
		_, err := db.Exec(context.Background(), `SELECT 1`) // only the guard ends it
		running <- err
	}()
	stacktest.Eventually(t, func() bool { return db.Stat().AcquiredConns() == 1 })
	observe()
	require.False(t, guard.Silent(), "one probe without a reply is not enough")
	observe()
	require.True(t, guard.Silent())

	requireUnavailable(t, <-running)
	for range 1000 {
		_, err := db.Exec(context.Background(), `SELECT 1`)
		requireUnavailable(t, err)
		require.ErrorContains(t, err, "the database does not reply")
	}

	require.NoError(t, server.Thaw())
	stacktest.Eventually(t, func() bool { observe(); return !guard.Silent() })
	_, err := db.Exec(bounded(t, patience), `SELECT 1`)
	require.NoError(t, err)
}

func TestGuard_IsNotSilentWhileStatementsGetReplies(t *testing.T) {
	t.Parallel()
	guard, db := guarded(t, pgtest.URL(t, one), time.Minute, 100)

	for range 5 {
		began := time.Now()
		require.NoError(t, db.Ping(t.Context()))
		guard.Observe(began, context.DeadlineExceeded)
		require.False(t, guard.Silent())
	}
}

func TestGuard_IsNotSilentWhenTheServerRefuses(t *testing.T) {
	t.Parallel()
	server := stacktest.Postgres(t)
	guard, db := guarded(t, server.URL(), time.Minute, 100)
	guard.Observe(time.Now(), context.DeadlineExceeded)
	guard.Observe(time.Now(), context.DeadlineExceeded)
	require.True(t, guard.Silent())

	require.NoError(t, server.Kill())
	guard.Observe(time.Now(), db.Ping(t.Context())) // is refused by the operating system
	require.False(t, guard.Silent())
	guard.Observe(time.Now(), db.Ping(t.Context()))
	guard.Observe(time.Now(), db.Ping(t.Context()))

	require.False(t, guard.Silent(), "requests to a server that refuses fail fast without the guard")
}

func TestGuard_BoundsTheWaitForAConnection(t *testing.T) {
	t.Parallel()
	guard, db := guarded(t, pgtest.URL(t, one), 3*time.Second, 100)
	held := holdAll(t, db)
	require.NoError(t, guard.CheckPool(db))

	_, err := db.Exec(t.Context(), `SELECT 1`)

	requireUnavailable(t, err)
	require.ErrorContains(t, err, "no connection to the database became free")
	require.EqualError(t, guard.CheckPool(db), "1 requests got no connection, all 5 were in use")
	require.NoError(t, guard.CheckPool(db), "a refusal is reported once")
	held()
	require.NoError(t, db.Ping(t.Context()))
}

func TestGuard_BoundsTheNumberOfWaitingRequests(t *testing.T) {
	t.Parallel()
	guard, db := guarded(t, pgtest.URL(t, one), patience, 3)
	held := holdAll(t, db)
	results := make(chan error, 3)
	for range 3 {
		go func() { results <- db.Ping(t.Context()) }()
	}
	stacktest.Eventually(t, func() bool { return gauge(t, db, guard, "app_database_waiting") == 3 })
	require.EqualError(t, guard.CheckPool(db), "all 5 connections are in use")

	err := db.Ping(t.Context())

	requireUnavailable(t, err)
	require.ErrorContains(t, err, "too many requests wait")
	held()
	for range 3 {
		require.NoError(t, <-results)
	}
	require.Zero(t, gauge(t, db, guard, "app_database_waiting"))
	require.NoError(t, db.Ping(t.Context()))
}

func TestGuard_RecordsThatTheDiskWasFull(t *testing.T) {
	t.Parallel()
	guard, db := guarded(t, pgtest.URL(t, one), time.Minute, 100)
	require.NoError(t, db.Ping(t.Context()))
	require.False(t, guard.DiskFull())

	_, err := db.Exec(t.Context(), `DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$`)

	requireUnavailable(t, err)
	require.True(t, guard.DiskFull())
}

// Private

func guarded(t *testing.T, address string, wait time.Duration, limit int) (*postgres.Guard, *pgxpool.Pool) {
	t.Helper()
	reporter := telemetry.NewReporter(slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	guard := postgres.NewGuard(wait, limit, reporter)
	return guard, openWith(t, address, func(o *postgres.Options) { o.Guard = guard })
}

// holdAll acquires every connection of a pool. The function release releases them.
func holdAll(t *testing.T, db *pgxpool.Pool) (release func()) {
	t.Helper()
	var held []*pgxpool.Conn
	for range db.Config().MaxConns {
		connection, err := db.Acquire(t.Context())
		require.NoError(t, err)
		held = append(held, connection)
	}
	release = func() {
		for _, connection := range held {
			connection.Release()
		}
	}
	t.Cleanup(release)
	return release
}

// gauge returns the value of a gauge without labels.
func gauge(t *testing.T, db *pgxpool.Pool, guard *postgres.Guard, name string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	postgres.RegisterMetrics(registry, "main", db, guard)
	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue()
		}
	}
	require.Fail(t, "no metric "+name)
	return 0
}
