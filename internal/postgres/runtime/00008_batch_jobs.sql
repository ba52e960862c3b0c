-- +goose NO TRANSACTION
-- +goose Up
-- Workers go on while this runs. Each statement commits by itself, and the file may run
-- again after it was interrupted. The index waits until all transactions that are older
-- have ended, and nobody waits for it meanwhile.
SET lock_timeout = '5min';

-- Jobs that belong together: see internal/jobs/batch. Which of its jobs wait, run or
-- failed is counted in river_job.
CREATE TABLE IF NOT EXISTS job_batches (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- in the metadata of its jobs as slipway:batch
    name            text NOT NULL,
    total           bigint NOT NULL, -- jobs that were enqueued
    request         text NOT NULL DEFAULT '', -- id of the request that enqueued it
    on_success_kind text NOT NULL DEFAULT '', -- of the job that is enqueued when all jobs are done
    on_success_args jsonb,
    on_finish_kind  text NOT NULL DEFAULT '', -- of the job that is enqueued when all jobs have ended in some way
    on_finish_args  jsonb,
    created_at      timestamptz NOT NULL DEFAULT now(),
    paused_at       timestamptz,
    cancelled_at    timestamptz,
    finished_at     timestamptz, -- when all jobs had ended for the first time
    succeeded_at    timestamptz
);
CREATE INDEX IF NOT EXISTS job_batches_unfinished ON job_batches (id) WHERE finished_at IS NULL;
CREATE INDEX IF NOT EXISTS job_batches_unsuccessful ON job_batches (id) WHERE finished_at IS NOT NULL AND succeeded_at IS NULL;
CREATE INDEX IF NOT EXISTS job_batches_paused ON job_batches (id) WHERE paused_at IS NOT NULL AND succeeded_at IS NULL;
CREATE INDEX IF NOT EXISTS job_batches_finished ON job_batches (finished_at) WHERE finished_at IS NOT NULL;

-- Jobs of batches that were deleted before they were done, by an operator or because
-- failed jobs are kept for a time only.
CREATE TABLE IF NOT EXISTS deleted_batch_jobs (
    batch_id bigint NOT NULL,
    failed   boolean NOT NULL -- false: it was cancelled, or would have run
);
CREATE INDEX IF NOT EXISTS deleted_batch_jobs_batch ON deleted_batch_jobs (batch_id, failed);

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION note_deleted_batch_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO deleted_batch_jobs (batch_id, failed)
    SELECT id, OLD.state = 'discarded'
    FROM job_batches
    WHERE id = CASE WHEN OLD.metadata->>'slipway:batch' ~ '^[0-9]{1,18}$' THEN (OLD.metadata->>'slipway:batch')::bigint END;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE OR REPLACE TRIGGER note_deleted_batch_job AFTER DELETE ON river_job
FOR EACH ROW WHEN (OLD.state <> 'completed' AND OLD.metadata ? 'slipway:batch') EXECUTE FUNCTION note_deleted_batch_job();

-- Kinds that an operator paused: see internal/jobs/pauses.go.
CREATE TABLE IF NOT EXISTS paused_kinds (
    backend   text NOT NULL CHECK (backend IN ('pg', 'redis')),
    kind      text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (backend, kind)
);

-- An interrupted CREATE INDEX CONCURRENTLY leaves an invalid index.
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass('river_job_batch') AND NOT indisvalid) THEN
        ALTER INDEX river_job_batch RENAME TO river_job_batch_invalid;
    END IF;
END $$;
-- +goose StatementEnd
DROP INDEX CONCURRENTLY IF EXISTS river_job_batch_invalid;

-- The jobs of each batch but those that are done.
CREATE INDEX CONCURRENTLY IF NOT EXISTS river_job_batch ON river_job ((metadata->>'slipway:batch'), state, id)
WHERE state <> 'completed' AND metadata ? 'slipway:batch';

RESET lock_timeout;

-- +goose Down
DROP INDEX IF EXISTS river_job_batch;
DROP TABLE IF EXISTS paused_kinds;
DROP TRIGGER IF EXISTS note_deleted_batch_job ON river_job;
DROP FUNCTION IF EXISTS note_deleted_batch_job;
DROP TABLE IF EXISTS deleted_batch_jobs;
DROP TABLE IF EXISTS job_batches;
