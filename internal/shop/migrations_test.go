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

func TestMigrations_FillTheIndexOfACatalogueThatIsThere(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	address, log := s.db.Config().ConnString(), slog.New(slog.DiscardHandler)
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, shop.Migrations(), log)
	require.NoError(t, err)
	defer migrator.Close()
	words := s.count(t, `SELECT count(DISTINCT (word, lexeme)) FROM search_words`)
	prices := s.count(t, `SELECT sum(product_id * low_cents + category_id) FROM product_prices`)
	for range 2 {
		_, err = migrator.Down(t.Context())
		require.NoError(t, err)
	}
	_, err = s.db.Exec(t.Context(), `CREATE INDEX products_by_name ON products (id)`) // an interrupted run left another one
	require.NoError(t, err)

	_, err = migrator.Migrate(t.Context())

	require.NoError(t, err)
	require.Equal(t, words, s.count(t, `SELECT count(*) FROM search_words`))
	require.Equal(t, prices, s.count(t, `SELECT sum(product_id * low_cents + category_id) FROM product_prices`))
	found, err := readSearch(t, s.Shop, "lantrn", 1)
	require.NoError(t, err)
	require.Equal(t, "hurricane-lantern", found.Cards[0].Slug)
	require.Zero(t, s.count(t, `SELECT count(*) FROM pg_index WHERE NOT indisvalid`))
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
