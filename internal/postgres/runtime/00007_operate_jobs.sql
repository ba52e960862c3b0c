-- +goose NO TRANSACTION
-- +goose Up
-- Workers go on while this runs: it blocks no reader and no writer of jobs and tasks.
-- Each statement commits by itself, and the file may run again after it was
-- interrupted. An index waits until all transactions that are older have ended, and
-- nobody waits for it meanwhile.
SET lock_timeout = '5min';

-- The error of a run without what differs between equal failures: numbers, words with a
-- digit, ids in hexadecimal, quoted texts, addresses and times become "…". Failures of
-- a kind with an equal pattern have one cause. Only the first 4096 characters count. It
-- calls only functions of PostgreSQL itself, because indexes depend on it.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION error_pattern(error text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    SELECT regexp_replace(
        left(coalesce(error, ''), 4096) COLLATE "C",
        '(?:"(?:[^"\\]|\\.)*"|(?<![A-Za-z0-9])''[^'']*''|`[^`]*`|[a-z]+://[^[:space:]"''<>]+|[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+|'
            || '\m[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\M|\m[0-9A-Fa-f]{8,}\M|[A-Za-z0-9_]*[0-9][A-Za-z0-9_]*)'
            || '(?:[-.:,;/+ ]*(?:"(?:[^"\\]|\\.)*"|\m[0-9A-Fa-f]{8,}\M|[A-Za-z0-9_]*[0-9][A-Za-z0-9_]*))*',
        '…', 'g')
$function$;
-- +goose StatementEnd

-- An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index. It gets another name,
-- because only a statement of its own can drop it while the workers go on. Indexes that
-- are complete stay.
-- +goose StatementBegin
DO $$
DECLARE
    leftover text;
BEGIN
    FOR leftover IN
        SELECT c.relname
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indexrelid
        WHERE NOT i.indisvalid AND c.relname IN ('river_job_causes', 'failed_tasks_causes')
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', leftover, leftover || '_invalid');
    END LOOP;
END $$;
-- +goose StatementEnd

-- Failed and retrying jobs, and failed tasks, by their cause and the time of the
-- failure. Other jobs are not in it, so that they cost nothing more.
DROP INDEX CONCURRENTLY IF EXISTS river_job_causes_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS river_job_causes ON river_job (
    hashtextextended(kind || E'\n' || error_pattern(errors[array_upper(errors, 1)]->>'error'), 0),
    state, coalesce(finalized_at, attempted_at, created_at), id
) WHERE state IN ('discarded', 'retryable');
DROP INDEX CONCURRENTLY IF EXISTS failed_tasks_causes_invalid;
CREATE INDEX CONCURRENTLY IF NOT EXISTS failed_tasks_causes ON failed_tasks (
    hashtextextended(kind || E'\n' || error_pattern(error), 0), failed_at, id
) WHERE NOT cancelled;

-- What operators did to jobs and tasks, and bulk actions that a worker still does.
CREATE TABLE IF NOT EXISTS operator_actions (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor       text NOT NULL,
    action      text NOT NULL,
    subject     text NOT NULL,               -- the text of a filter, ids, or the name of a queue
    bulk        jsonb,                       -- what a worker does; null: the action was done at once
    asked       integer,                     -- how many jobs and tasks the filter selected, as far as they were counted
    asked_more  boolean NOT NULL DEFAULT false,
    outcome     text NOT NULL CHECK (outcome IN ('waiting', 'running', 'done', 'stopped', 'failed')),
    report      jsonb NOT NULL DEFAULT '{}', -- what was done so far
    place       jsonb NOT NULL DEFAULT '{}', -- where the work goes on
    stop_asked  boolean NOT NULL DEFAULT false,
    runner      text,                        -- which of the workers does it
    asked_at    timestamptz NOT NULL DEFAULT now(),
    started_at  timestamptz,
    beat_at     timestamptz,
    finished_at timestamptz
);
CREATE INDEX IF NOT EXISTS operator_actions_asked_at ON operator_actions (asked_at);
CREATE INDEX IF NOT EXISTS operator_actions_unfinished ON operator_actions (id) WHERE bulk IS NOT NULL AND outcome IN ('waiting', 'running');

RESET lock_timeout;

-- +goose Down
DROP TABLE operator_actions;
DROP INDEX failed_tasks_causes;
DROP INDEX river_job_causes;
DROP FUNCTION error_pattern(text);
