package pgtest

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/postgres"
)

// Single returns a pool of one connection to the database of another pool.
func Single(t testing.TB, db *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	single, err := postgres.Open(t.Context(), options(db.Config().ConnString(), t.Name(), 1))
	require.NoError(t, err)
	t.Cleanup(single.Close)
	return single
}

// RowsRead returns how many rows of a table a pool of one connection has read, from
// the table itself and from its indexes.
func RowsRead(t testing.TB, single *pgxpool.Pool, table string) int {
	t.Helper()
	_, err := single.Exec(t.Context(), `SELECT pg_stat_force_next_flush()`)
	require.NoError(t, err)
	var rows int
	require.NoError(t, single.QueryRow(t.Context(), `
		SELECT seq_tup_read + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes AS i WHERE i.relid = t.relid)
		FROM pg_stat_user_tables AS t
		WHERE relname = $1`, table).Scan(&rows))
	return rows
}
