-- +goose Up

-- Figures of one process by time. Each row has those of one step of minutes, so only
-- that process writes it. Counters hold what they grew by within the step.
CREATE TABLE ops_figures (
    process text NOT NULL,
    step integer NOT NULL, -- minutes: 1, 10 or 60
    at timestamptz NOT NULL, -- its start
    figures jsonb NOT NULL,
    PRIMARY KEY (process, step, at)
);

CREATE INDEX ops_figures_by_time ON ops_figures (step, at);

-- Processes that have recorded something.
CREATE TABLE ops_processes (
    process text PRIMARY KEY,
    role text NOT NULL,
    host text NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);

-- Requests, jobs and tasks that failed, were slow or are in the sample.
CREATE TABLE ops_traces (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace text NOT NULL, -- the same for a request and what it caused
    kind text NOT NULL, -- request, job or task
    name text NOT NULL,
    work text NOT NULL,
    parent text NOT NULL,
    attempt integer NOT NULL,
    role text NOT NULL,
    version text NOT NULL,
    outcome text NOT NULL,
    failed boolean NOT NULL,
    started_at timestamptz NOT NULL,
    took_us bigint NOT NULL,
    spans jsonb NOT NULL,
    dropped integer NOT NULL
);

CREATE INDEX ops_traces_by_trace ON ops_traces (trace);
CREATE INDEX ops_traces_by_parent ON ops_traces (parent) WHERE parent <> '';
CREATE INDEX ops_traces_by_time ON ops_traces (started_at);

-- Errors, grouped by their cause.
CREATE TABLE ops_errors (
    id text PRIMARY KEY,
    title text NOT NULL,
    source text NOT NULL,
    class text NOT NULL,
    backend text NOT NULL, -- that failed; empty: none did
    role text NOT NULL, -- that had the last one
    version text NOT NULL, -- that had the last one
    message text NOT NULL, -- of the last one
    stack text NOT NULL, -- of the last one that had a stack
    trace text NOT NULL, -- of the last one that had a trace
    count bigint NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    resolved_at timestamptz, -- null: open
    resolved_by text NOT NULL DEFAULT '',
    reopened_at timestamptz, -- when it happened again after it was resolved
    mailed_at timestamptz -- null: the operator has no mail about it since it was opened
);

CREATE INDEX ops_errors_by_time ON ops_errors (last_at);

-- What the operator gets mail about beside errors, from the first to the last minute.
CREATE TABLE ops_troubles (
    name text PRIMARY KEY,
    text text NOT NULL,
    since timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    mailed_at timestamptz
);

-- One row: the turn to send mail to the operator.
CREATE TABLE ops_mail (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    sent_at timestamptz NOT NULL DEFAULT '-infinity'
);

INSERT INTO ops_mail DEFAULT VALUES;

-- +goose Down
DROP TABLE ops_mail, ops_troubles, ops_errors, ops_traces, ops_processes, ops_figures;
