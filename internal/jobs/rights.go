package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/telemetry"
)

// Rights checks that the database lets a worker use the tables of the runtime.
// Without a right on one of them, work may wait for ever while everything else is
// well.
type Rights struct {
	db    *pgxpool.Pool
	found *telemetry.LoopLog
	last  error // of the last check that got a reply
}

// NewRights returns a check of the database user of db. It logs what it finds.
func NewRights(db *pgxpool.Pool, log *slog.Logger) *Rights {
	return &Rights{db: db, found: telemetry.NewLoopLog(log, "Worker lacks rights in the database", "Worker has the rights that it lacked")}
}

// Check returns an error that names each missing right and the statement that
// grants it, or nil. While the database does not reply, it returns its last result.
// It is for one caller at a time.
func (r *Rights) Check(ctx context.Context) error {
	rows, err := r.db.Query(ctx, `
		SELECT needed.relation || ' lacks ' || string_agg(needed.privilege, ', '),
		       'GRANT ' || string_agg(needed.privilege, ', ') || ' ON ' || needed.object || needed.relation
		FROM (
			SELECT relation, 'TABLE ' AS object, privilege
			FROM unnest($1::text[]) AS relation, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
			WHERE to_regclass(relation) IS NOT NULL AND NOT has_table_privilege(to_regclass(relation), privilege)
			UNION ALL
			SELECT relation, 'SEQUENCE ', 'USAGE'
			FROM unnest($2::text[]) AS relation
			WHERE to_regclass(relation) IS NOT NULL AND NOT has_sequence_privilege(to_regclass(relation), 'USAGE')
		) AS needed
		GROUP BY needed.relation, needed.object
		ORDER BY needed.relation`, neededTables, neededSequences)
	if err != nil {
		return r.last
	}
	var lacks, grants []string
	var lack, grant string
	if _, err := pgx.ForEachRow(rows, []any{&lack, &grant}, func() error {
		lacks, grants = append(lacks, lack), append(grants, grant+" TO the user in DATABASE_URL")
		return nil
	}); err != nil {
		return r.last
	}
	if len(lacks) == 0 {
		r.last = nil
		r.found.Worked(ctx)
		return nil
	}
	r.last = fmt.Errorf("the user in DATABASE_URL lacks rights, so work waits or is not recorded: %s; %s",
		strings.Join(lacks, "; "), strings.Join(grants, "; "))
	r.found.Failed(ctx, r.last)
	return r.last
}

// Private

// neededTables are the tables that workers read and write: all of River and of the
// runtime.
var neededTables = []string{
	"river_job", "river_queue", "river_leader", "job_processes", "failed_tasks", "recurring_tasks", "recurring_runs",
	"key_waiters", "unique_jobs", "paused_task_queues", "paused_kinds", "job_batches", "deleted_batch_jobs",
	"job_figures", "job_depths", "app_versions", "worker_commands", "operator_actions",
	"ops_figures", "ops_processes", "ops_traces", "ops_errors", "ops_troubles", "ops_mail",
}

// neededSequences number the rows that workers insert.
var neededSequences = []string{"river_job_id_seq"}
