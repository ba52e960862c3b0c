package postgres_test

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
)

func TestMigrate_OneOfManyMigratesAndTheOthersWait(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	slow := fstest.MapFS{"00001_create_mugs.sql": {
		Data: []byte("-- +goose Up\nSELECT pg_sleep(0.3);\nCREATE TABLE mugs (name text);\n"),
	}}

	applied := make([]int, 4)
	var group sync.WaitGroup
	for i := range applied {
		migrator := newMigrator(t, address, slow)
		group.Go(func() {
			var err error
			applied[i], err = migrator.Migrate(t.Context())
			if err != nil {
				applied[i] = -1
			}
		})
	}
	group.Wait()

	workers, total := 0, 0
	for _, n := range applied {
		require.GreaterOrEqual(t, n, 0)
		total += n
		if n > 0 {
			workers++
		}
	}
	require.Equal(t, 1, workers, applied)
	all, err := newMigrator(t, address, slow).Status(t.Context())
	require.NoError(t, err)
	require.Len(t, all, total)
}

func TestMigrate_AppliesPendingMigrationsOnly(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)

	require.Greater(t, migrate(t, address, one), 1) // River's and the application's
	require.Equal(t, 1, migrate(t, address, two))
	require.Zero(t, migrate(t, address, two))

	// An older build beside a newer one.
	require.Zero(t, migrate(t, address, one))
}

func TestMigrate_NeedsNoMigrationsOfTheApplication(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	db := openDatabase(t, address)
	require.ErrorIs(t, schemaOf(t, nil).Check(t.Context(), db), postgres.ErrSchemaOld)

	require.Positive(t, migrate(t, address, nil))

	require.NoError(t, schemaOf(t, nil).Check(t.Context(), db))
	require.ErrorIs(t, schemaOf(t, one).Check(t.Context(), db), postgres.ErrSchemaOld)
	all, err := newMigrator(t, address, nil).Status(t.Context())
	require.NoError(t, err)
	for _, migration := range all {
		require.True(t, migration.Applied, migration.Name)
	}
	require.Equal(t, 1, migrate(t, address, one)) // the application's first, later
}

func TestMigrate_IgnoresThePoolSizeOfTheURL(t *testing.T) {
	t.Parallel()
	address := with(t, pgtest.Empty(t), "pool_max_conns", "1")

	_, err := newMigrator(t, address, one).Migrate(bounded(t, patience))

	require.NoError(t, err)
}

func TestMigrate_ABrokenMigrationChangesNothing(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	migrate(t, address, one)
	broken := fstest.MapFS{
		"00001_create_mugs.sql":  one.(fstest.MapFS)["00001_create_mugs.sql"],
		"00002_create_lamps.sql": {Data: []byte("-- +goose Up\nCREATE TABLE lamps (name text);\nCREATE TABLE mugs (name text);\n")},
	}

	_, err := newMigrator(t, address, broken).Migrate(t.Context())

	require.ErrorContains(t, err, "migrate the application's tables: 00002_create_lamps.sql: ")
	require.Equal(t, 1, migrate(t, address, two))
}

func TestMigrate_StopsWaitingForTheLockWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	holder := openDatabase(t, address)
	connection, err := holder.Acquire(t.Context())
	require.NoError(t, err)
	defer connection.Release()
	_, err = connection.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, postgres.MigrationLock)
	require.NoError(t, err)
	var log strings.Builder
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, one, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	defer migrator.Close()

	applied, err := migrator.Migrate(bounded(t, time.Second))

	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "wait for another migration")
	require.Zero(t, applied)
	require.Equal(t, 1, strings.Count(log.String(), "Another process migrates this database, waiting for it"))
	_, err = connection.Exec(t.Context(), `SELECT pg_advisory_unlock($1)`, postgres.MigrationLock)
	require.NoError(t, err)
	_, err = migrator.Migrate(t.Context())
	require.NoError(t, err)
}

func TestMigrate_DoesNotWaitForATableLockForLong(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	migrate(t, address, one)
	db := openDatabase(t, address)
	tx, err := db.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context())
	_, err = tx.Exec(t.Context(), `LOCK TABLE mugs IN ACCESS SHARE MODE`)
	require.NoError(t, err)
	altering := fstest.MapFS{
		"00001_create_mugs.sql": one.(fstest.MapFS)["00001_create_mugs.sql"],
		"00002_colour.sql":      {Data: []byte("-- +goose Up\nALTER TABLE mugs ADD colour text;\n")},
	}

	_, err = newMigrator(t, address, altering).Migrate(bounded(t, patience))

	require.ErrorContains(t, err, "lock timeout")
}

func TestStatus_ListsAppliedAndPendingMigrations(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)

	before, err := newMigrator(t, address, two).Status(t.Context())
	require.NoError(t, err)
	migrate(t, address, one)
	after, err := newMigrator(t, address, two).Status(t.Context())
	require.NoError(t, err)

	require.Len(t, after, len(before))
	for _, migration := range before {
		require.False(t, migration.Applied, migration.Name)
	}
	ours := after[len(after)-2:]
	require.Equal(t, "00001_create_mugs.sql", ours[0].Name)
	require.WithinDuration(t, time.Now(), ours[0].AppliedAt, time.Minute)
	require.Equal(t, "00002_create_lamps.sql", ours[1].Name)
	require.False(t, ours[1].Applied)
	require.Zero(t, ours[1].AppliedAt)
	for _, migration := range after[:len(after)-1] {
		require.True(t, migration.Applied, migration.Name)
	}
	require.Contains(t, after[0].Name, "river 001")
}

func TestStatus_WorksAfterANewerBuildHasMigrated(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	migrate(t, address, two)
	connection, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	_, err = connection.Exec(t.Context(), `INSERT INTO river_migration (line, version) VALUES ('main', 99)`)
	require.NoError(t, err)
	_, err = connection.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, true)`)
	require.NoError(t, err)

	all, err := newMigrator(t, address, one).Status(t.Context())

	require.NoError(t, err)
	var unknown []string
	for _, migration := range all {
		require.True(t, migration.Applied, migration.Name)
		require.Empty(t, migration.Problem)
		if migration.Unknown {
			unknown = append(unknown, migration.Name)
		}
	}
	require.Equal(t, []string{"version 99", "00002_create_lamps.sql", "version 99"}, unknown)
	migrate(t, address, one)
}

func TestSchemaCheck_RefusesAnOldSchemaOnly(t *testing.T) {
	t.Parallel()
	address := pgtest.Empty(t)
	db := openDatabase(t, address)
	needsOne, needsTwo := schemaOf(t, one), schemaOf(t, two)

	require.ErrorIs(t, needsOne.Check(t.Context(), db), postgres.ErrSchemaOld)

	migrate(t, address, one)
	require.NoError(t, needsOne.Check(t.Context(), db))
	require.ErrorIs(t, needsTwo.Check(t.Context(), db), postgres.ErrSchemaOld)

	migrate(t, address, two)
	require.NoError(t, needsOne.Check(t.Context(), db))
	require.NoError(t, needsTwo.Check(t.Context(), db))

	execute(t, db, `UPDATE runtime_version SET is_applied = false WHERE version_id = (SELECT max(version_id) FROM runtime_version)`)
	require.ErrorIs(t, needsTwo.Check(t.Context(), db), postgres.ErrSchemaOld, "the runtime's own schema is old")
	execute(t, db, `UPDATE runtime_version SET is_applied = true`)
	require.NoError(t, needsTwo.Check(t.Context(), db))

	execute(t, db, `DELETE FROM river_migration WHERE version > 4`)
	require.ErrorIs(t, needsTwo.Check(t.Context(), db), postgres.ErrSchemaOld)

	execute(t, db, `ALTER TABLE river_migration DROP COLUMN line CASCADE`)
	require.ErrorIs(t, needsTwo.Check(t.Context(), db), postgres.ErrSchemaOld)
}

func TestNeededSchema_RefusesAFileWithoutANumber(t *testing.T) {
	t.Parallel()

	_, err := postgres.NeededSchema(fstest.MapFS{"create_mugs.sql": {}})

	require.ErrorContains(t, err, "create_mugs.sql does not begin with a number")
}
