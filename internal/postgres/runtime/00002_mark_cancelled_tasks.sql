-- +goose Up

-- Of the tasks that will not run again by themselves, those that an operator
-- has cancelled.
ALTER TABLE failed_tasks ADD COLUMN cancelled boolean NOT NULL DEFAULT false;
UPDATE failed_tasks SET cancelled = true WHERE error = 'cancelled';

-- +goose Down
ALTER TABLE failed_tasks DROP COLUMN cancelled;
