-- +goose Up

-- Every worker that runs. One whose beat is old is dead, and what it had in hand
-- is released: see internal/jobs/processes.go.
CREATE TABLE job_processes (
    id          text PRIMARY KEY, -- River's attempted_by
    backend     text NOT NULL CHECK (backend IN ('pg', 'redis')),
    host        text NOT NULL,
    pid         integer NOT NULL,
    version     text NOT NULL,
    queues      text[] NOT NULL,
    concurrency integer NOT NULL,
    state       text NOT NULL CHECK (state IN ('working', 'quiet', 'stopping')),
    in_hand     integer NOT NULL DEFAULT 0,
    started_at  timestamptz NOT NULL DEFAULT now(),
    beat_at     timestamptz NOT NULL DEFAULT now()
);

-- Tasks that failed for good. Redis keeps them only so long and so many.
CREATE TABLE failed_tasks (
    id        text PRIMARY KEY,
    kind      text NOT NULL,
    queue     text NOT NULL,
    args      jsonb NOT NULL,
    error     text NOT NULL,
    attempts  integer NOT NULL,
    failed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX failed_tasks_failed_at ON failed_tasks (failed_at);

-- The recurring work of config/recurring.yml, as the newest release knows it.
CREATE TABLE recurring_tasks (
    key         text PRIMARY KEY,
    kind        text NOT NULL,
    backend     text NOT NULL CHECK (backend IN ('pg', 'redis')),
    schedule    text NOT NULL,
    enabled     boolean NOT NULL,
    last_run_at timestamptz, -- up to which every run has been seen to
    next_run_at timestamptz,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- One row for each run: the same run is never enqueued twice.
CREATE TABLE recurring_runs (
    task_key    text NOT NULL,
    run_at      timestamptz NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    manual      boolean NOT NULL DEFAULT false,
    skipped     boolean NOT NULL DEFAULT false, -- because the run before was not done
    PRIMARY KEY (task_key, run_at)
);
CREATE INDEX recurring_runs_enqueued_at ON recurring_runs (enqueued_at);

-- +goose Down
DROP TABLE recurring_runs, recurring_tasks, failed_tasks, job_processes;
