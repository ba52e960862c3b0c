package shop_test

import (
	"io/fs"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
	"slipway/internal/postgres/pgtest"
	"slipway/internal/shop"
)

func TestMigrations_CanBeTakenBackOneByOne(t *testing.T) {
	t.Parallel()
	address := pgtest.URL(t, shop.Migrations())
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, shop.Migrations(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer migrator.Close()
	files, err := fs.Glob(shop.Migrations(), "*.sql")
	require.NoError(t, err)
	before := schema(t, address)

	for _, file := range slices.Backward(files) {
		name, err := migrator.Down(t.Context())
		require.NoError(t, err)
		require.Equal(t, file, name)
	}
	applied, err := migrator.Migrate(t.Context())

	require.NoError(t, err)
	require.Len(t, files, applied)
	require.Equal(t, before, schema(t, address))
}

// Private

// schema describes all columns, indexes and constraints.
func schema(t *testing.T, address string) (all string) {
	t.Helper()
	connection, err := pgx.Connect(t.Context(), address)
	require.NoError(t, err)
	defer connection.Close(t.Context())
	require.NoError(t, connection.QueryRow(t.Context(), `
		SELECT string_agg(line, E'\n' ORDER BY line)
		FROM (
			SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS line
			FROM information_schema.columns
			WHERE table_schema = 'public'
			UNION ALL
			SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
			UNION ALL
			SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
		) AS everything`).Scan(&all))
	return all
}
