-- +goose Up

-- Runs of jobs and tasks by time, backend, queue and kind: see
-- internal/jobs/history. Each run is counted in one row of every step, so that a chart
-- of days reads few rows.
CREATE TABLE job_figures (
    step      smallint NOT NULL,    -- the minutes that the row covers: 1 or 10
    at        timestamptz NOT NULL, -- the first of them, by the clock of the database
    backend   text NOT NULL CHECK (backend IN ('pg', 'redis')),
    queue     text NOT NULL,
    kind      text NOT NULL,
    done      integer NOT NULL,
    failed    integer NOT NULL,
    cancelled integer NOT NULL,
    expired   integer NOT NULL,
    later     integer NOT NULL,     -- snoozed
    returned  integer NOT NULL,     -- to their queue, because the worker stopped
    run_us    bigint NOT NULL,      -- the run time of the done and failed ones together
    wait_us   bigint NOT NULL,      -- their time from due to start, where it is known
    runs      numeric NOT NULL,     -- the histogram of run times, which can be added up: see histogram.go
    waits     numeric NOT NULL,     -- the histogram of waits
    PRIMARY KEY (step, at, backend, queue, kind)
) WITH (fillfactor = 90);

-- How much work was in each queue in each minute. A state that nobody could count is
-- null.
CREATE TABLE job_depths (
    at        timestamptz NOT NULL, -- the minute, by the clock of the database
    backend   text NOT NULL CHECK (backend IN ('pg', 'redis')),
    queue     text NOT NULL,
    pending   integer,
    scheduled integer,
    running   integer,
    retrying  integer,
    failed    integer,
    cancelled integer,
    oldest_ms bigint NOT NULL,      -- how long the oldest pending one has been due
    PRIMARY KEY (at, backend, queue)
);

-- Every version of the application that has run, for the marks of deploys in charts.
CREATE TABLE app_versions (
    version       text PRIMARY KEY,
    first_seen_at timestamptz NOT NULL DEFAULT now()
);

-- What operators ask of running workers: see internal/jobs/commands.go.
CREATE TABLE worker_commands (
    id          uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    process_id  text NOT NULL, -- in job_processes
    command     text NOT NULL,
    argument    text NOT NULL,
    asked_at    timestamptz NOT NULL DEFAULT now(),
    answered_at timestamptz,
    answer      text,
    error       text           -- why there is no answer
);
CREATE INDEX worker_commands_open ON worker_commands (process_id, asked_at) WHERE answered_at IS NULL;
CREATE INDEX worker_commands_asked_at ON worker_commands (asked_at);

-- +goose Down
DROP TABLE worker_commands, app_versions, job_depths, job_figures;
