package ops

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/telemetry"
)

// Database is the state of PostgreSQL. What the user of the application may not see is
// missing or empty.
type Database struct {
	Name           string      `json:"name"`
	Version        string      `json:"version"`
	Size           int64       `json:"bytes"`
	Connections    int         `json:"connections"` // of all clients of the server
	MaxConnections int         `json:"max_connections"`
	Clients        []Count     `json:"clients"`    // connections by the name of the program
	Tables         []Table     `json:"tables"`     // the largest first
	Unused         []Index     `json:"unused"`     // the largest first
	Statements     []Statement `json:"statements"` // those that run or wait for a second and longer
	Locks          []Lock      `json:"locks"`
	CacheHit       float64     `json:"cache_hit"` // the part of blocks that were in PostgreSQL's memory
	OldestXact     float64     `json:"oldest_transaction_seconds"`
}

// Table is the size of a table, with its indexes.
type Table struct {
	Name     string     `json:"name"`
	Size     int64      `json:"bytes"` // estimated
	Rows     int64      `json:"rows"`  // estimated
	Dead     int64      `json:"dead_rows"`
	Vacuumed *time.Time `json:"vacuumed_at,omitempty"`
	Scans    int64      `json:"sequential_scans"`
}

// Index is an index that no statement has used since the statistics began.
type Index struct {
	Name  string `json:"name"`
	Table string `json:"table"`
	Size  int64  `json:"bytes"`
}

// Statement is a statement that runs now.
type Statement struct {
	PID     int     `json:"pid"`
	Program string  `json:"program"`
	State   string  `json:"state"`
	Waits   string  `json:"waits_for,omitempty"`
	Seconds float64 `json:"seconds"`
	Text    string  `json:"text"`
}

// Lock is a connection that waits for another one.
type Lock struct {
	PID       int     `json:"pid"`
	Program   string  `json:"program"`
	BlockedBy []int   `json:"blocked_by"`
	Seconds   float64 `json:"seconds"`
	Text      string  `json:"text"`
}

// Database returns the state of PostgreSQL. It takes no locks, so that it also works
// while others hold one: the sizes of tables are those of the last VACUUM or ANALYZE.
func (r *Reader) Database(ctx context.Context) (Database, error) {
	d := Database{}
	err := r.db.QueryRow(ctx, `
		SELECT current_database(), current_setting('server_version'), pg_database_size(current_database()),
		       (SELECT count(*)::integer FROM pg_stat_activity WHERE backend_type = 'client backend'),
		       current_setting('max_connections')::integer,
		       coalesce((SELECT blks_hit::float8 / nullif(blks_hit + blks_read, 0) FROM pg_stat_database WHERE datname = current_database()), 0),
		       coalesce((
		           SELECT extract(epoch FROM max(clock_timestamp() - xact_start))::float8 FROM pg_stat_activity WHERE datname = current_database()
		       ), 0)`,
	).Scan(&d.Name, &d.Version, &d.Size, &d.Connections, &d.MaxConnections, &d.CacheHit, &d.OldestXact)
	if err != nil {
		return d, fmt.Errorf("read the state of the database: %w", err)
	}
	if d.Clients, err = list[Count](ctx, r, `
		SELECT coalesce(nullif(application_name, ''), 'unnamed'), count(*)::integer
		FROM pg_stat_activity
		WHERE datname = current_database()
		GROUP BY 1
		ORDER BY 2 DESC, 1
		LIMIT 20`); err != nil {
		return d, err
	}
	if d.Tables, err = list[Table](ctx, r, `
		SELECT t.relname,
		       current_setting('block_size')::bigint * (
		           (SELECT coalesce(sum(relpages), 0) FROM pg_class WHERE oid IN (t.relid, own.reltoastrelid))
		           + (
		               SELECT coalesce(sum(i.relpages), 0)
		               FROM pg_index
		               JOIN pg_class i ON i.oid = indexrelid
		               WHERE indrelid IN (t.relid, own.reltoastrelid)
		           )
		       ),
		       n_live_tup, n_dead_tup, greatest(last_vacuum, last_autovacuum), seq_scan
		FROM pg_stat_user_tables t
		JOIN pg_class own ON own.oid = t.relid
		ORDER BY 2 DESC, 1
		LIMIT 30`); err != nil {
		return d, err
	}
	if d.Unused, err = list[Index](ctx, r, `
		SELECT indexrelname, s.relname, current_setting('block_size')::bigint * c.relpages
		FROM pg_stat_user_indexes s
		JOIN pg_index USING (indexrelid)
		JOIN pg_class c ON c.oid = indexrelid
		WHERE idx_scan = 0 AND NOT indisunique
		ORDER BY 3 DESC, 1
		LIMIT 20`); err != nil {
		return d, err
	}
	if d.Statements, err = list[Statement](ctx, r, `
		SELECT pid, application_name, state, coalesce(wait_event_type || ': ' || wait_event, ''),
		       extract(epoch FROM clock_timestamp() - query_start)::float8, left(query, 4000)
		FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IN ('active', 'idle in transaction')
		  AND query_start < clock_timestamp() - interval '1 second' AND backend_type = 'client backend'
		ORDER BY 5 DESC
		LIMIT 20`); err != nil {
		return d, err
	}
	for i, one := range d.Statements {
		d.Statements[i].Text = shownStatement(one.Program, one.Text)
	}
	d.Locks, err = list[Lock](ctx, r, `
		SELECT pid, application_name, pg_blocking_pids(pid), extract(epoch FROM clock_timestamp() - query_start)::float8,
		       left(query, 4000)
		FROM pg_stat_activity
		WHERE datname = current_database() AND wait_event_type = 'Lock'
		ORDER BY 4 DESC
		LIMIT 20`)
	for i, one := range d.Locks {
		d.Locks[i].Text = shownStatement(one.Program, one.Text)
	}
	return d, err
}

// Private

// shownStatement is a statement on one line. One of this application has parameters in
// place of values. In any other one, somebody may have typed a password or a customer's
// address, so it ends before its first literal.
func shownStatement(program, sql string) string {
	if literal := strings.IndexAny(sql, "'$"); literal >= 0 && !strings.HasPrefix(program, "app ") {
		sql = sql[:literal] + "***"
	}
	return telemetry.Scrub(shortStatement(sql))
}

func list[T any](ctx context.Context, r *Reader, statement string) ([]T, error) {
	rows, err := r.db.Query(ctx, statement)
	if err != nil {
		return nil, fmt.Errorf("read the state of the database: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, fmt.Errorf("read the state of the database: %w", err)
	}
	return found, nil
}
