-- +goose Up

-- What enqueued a task: the id of the HTTP request at the beginning of the chain, and
-- that of the job or task. A task that an operator retries has both again.
ALTER TABLE failed_tasks
    ADD COLUMN request text NOT NULL DEFAULT '',
    ADD COLUMN parent  text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE failed_tasks
    DROP COLUMN request,
    DROP COLUMN parent;
