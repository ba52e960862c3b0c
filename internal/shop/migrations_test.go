package shop_test

import (
	"context"
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
	migrator := s.migrator(t)
	words := s.count(t, `SELECT count(DISTINCT (word, lexeme)) FROM search_words`)
	prices := s.count(t, `SELECT sum(product_id * low_cents + category_id) FROM product_prices`)
	for range 2 {
		_, err := migrator.Down(t.Context())
		require.NoError(t, err)
	}
	s.exec(t, `CREATE INDEX products_by_name ON products (name, id)`)
	s.exec(t, `UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'products_by_name'::regclass`) // as an interrupted run leaves it

	_, err := migrator.Migrate(t.Context())

	require.NoError(t, err)
	require.Equal(t, words, s.count(t, `SELECT count(*) FROM search_words`))
	require.Equal(t, prices, s.count(t, `SELECT sum(product_id * low_cents + category_id) FROM product_prices`))
	found, err := readSearch(t, s.Shop, "lantrn", 1)
	require.NoError(t, err)
	require.Equal(t, "hurricane-lantern", found.Cards[0].Slug)
	require.Zero(t, s.count(t, `SELECT count(*) FROM pg_index WHERE NOT indisvalid`))
}

func TestMigrations_FillGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	migrator := s.migrator(t)
	_, err := migrator.Down(t.Context())
	require.NoError(t, err)
	s.exec(t, `UPDATE product_prices SET low_cents = 1 WHERE product_id = (SELECT min(id) FROM products)`)
	s.exec(t, `DELETE FROM product_prices WHERE product_id = (SELECT max(id) FROM products)`)
	s.exec(t, `CREATE INDEX products_by_name ON products (name, id)`)
	built := s.count(t, `SELECT 'products_by_name'::regclass::oid::bigint`)

	_, err = migrator.Migrate(t.Context())

	require.NoError(t, err)
	require.Equal(t, 1, s.count(t, `SELECT low_cents FROM product_prices WHERE product_id = (SELECT min(id) FROM products)`))
	require.Equal(t, s.count(t, `SELECT count(*) FROM products`), s.count(t, `SELECT count(*) FROM product_prices`))
	require.Equal(t, built, s.count(t, `SELECT 'products_by_name'::regclass::oid::bigint`))
}

func TestMigrations_FillKnowsWhatOthersChangeMeanwhile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	migrator := s.migrator(t)
	_, err := migrator.Down(t.Context())
	require.NoError(t, err)
	s.exec(t, `DELETE FROM product_prices`)
	tx, err := s.db.Begin(t.Context())
	require.NoError(t, err)
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	for _, statement := range []string{
		`UPDATE products SET category_id = (SELECT id FROM categories WHERE slug = 'deck') WHERE slug = 'headland-kettle'`,
		`DELETE FROM variants WHERE product_id = (SELECT id FROM products WHERE slug = 'kelp-soap')`,
	} {
		_, err = tx.Exec(t.Context(), statement)
		require.NoError(t, err)
	}
	migrated := make(chan error, 1)

	go func() {
		_, err := migrator.Migrate(context.WithoutCancel(t.Context()))
		migrated <- err
	}()
	require.Eventually(t, func() bool {
		return s.count(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
	}, 20*time.Second, 10*time.Millisecond)
	require.NoError(t, tx.Commit(t.Context()))

	require.NoError(t, <-migrated)
	require.Zero(t, s.count(t, `
		SELECT count(*) FROM product_prices price JOIN products p ON p.id = product_id WHERE p.category_id <> price.category_id`))
	require.Zero(t, s.count(t, `SELECT count(*) FROM product_prices JOIN products p ON p.id = product_id WHERE slug = 'kelp-soap'`))
}

// Private

// migrator migrates the database of the store.
func (s store) migrator(t *testing.T) *postgres.Migrator {
	t.Helper()
	address, log := s.db.Config().ConnString(), slog.New(slog.DiscardHandler)
	migrator, err := postgres.NewMigrator(t.Context(), address, 5*time.Second, shop.Migrations(), log)
	require.NoError(t, err)
	t.Cleanup(func() { _ = migrator.Close() })
	return migrator
}

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
