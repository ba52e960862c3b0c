-- +goose Up

-- Lists of jobs and counts read a bounded number of rows with any filter. Each
-- group of state, queue and kind is in the order of its ids.
CREATE INDEX river_job_inspect ON river_job (state, queue, kind, id);

-- Failed and cancelled tasks, in the order in which operators list them.
CREATE INDEX failed_tasks_inspect ON failed_tasks (cancelled, queue, kind, failed_at, id);

-- The oldest failed and the oldest cancelled tasks, which are deleted first.
CREATE INDEX failed_tasks_age ON failed_tasks (cancelled, failed_at);
DROP INDEX failed_tasks_failed_at;

-- Queues of tasks that an operator paused. Workers pause them again after Redis
-- lost the pause.
CREATE TABLE paused_task_queues (
    queue     text PRIMARY KEY,
    paused_at timestamptz NOT NULL DEFAULT now()
);

-- +goose Down
DROP TABLE paused_task_queues;
CREATE INDEX failed_tasks_failed_at ON failed_tasks (failed_at);
DROP INDEX failed_tasks_age;
DROP INDEX failed_tasks_inspect;
DROP INDEX river_job_inspect;
