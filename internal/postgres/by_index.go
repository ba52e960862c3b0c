package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ByIndex calls read with a transaction whose statements search the indexes of a
// table wherever one fits, and are planned for their own arguments. It is for counts
// and lists that stop at a bound. Without it, the planner expects to find enough rows
// near the start of the table, and reads all of it where there are fewer; and after a
// few calls it plans for an unknown bound. Nothing can be written in the transaction.
func ByIndex(ctx context.Context, db *pgxpool.Pool, read func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, db, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := PreferIndexes(ctx, tx); err != nil {
			return err
		}
		return read(tx)
	})
}

// PreferIndexes lets the further statements of a transaction be planned as those of
// ByIndex.
func PreferIndexes(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, byIndex); err != nil {
		return fmt.Errorf("prefer indexes: %w", err)
	}
	return nil
}

// Private

const byIndex = `
	SET LOCAL enable_seqscan = off;
	SET LOCAL enable_bitmapscan = off;
	SET LOCAL enable_hashjoin = off;
	SET LOCAL enable_mergejoin = off;
	SET LOCAL plan_cache_mode = force_custom_plan`
