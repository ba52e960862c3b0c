-- +goose Up

-- Jobs and tasks that wait until fewer runs hold their key: see
-- internal/jobs/key_waiters.go. Whoever ends a run with the key wakes the first.
CREATE TABLE key_waiters (
    backend     text NOT NULL CHECK (backend IN ('pg', 'redis')),
    work_id     text NOT NULL, -- of the job or task
    key         text NOT NULL,
    lock        bigint NOT NULL, -- hash of the key
    slots       integer NOT NULL CHECK (slots > 0), -- runs at the same time
    queue       text NOT NULL,
    priority    integer NOT NULL, -- smaller numbers first, then by the next two columns
    enqueued_at timestamptz NOT NULL,
    number      bigint NOT NULL, -- the id of a job, 0 for a task
    woken_at    timestamptz, -- when it was told to run, which it may not have done yet
    PRIMARY KEY (backend, work_id)
);
CREATE INDEX key_waiters_asleep ON key_waiters (lock, priority, enqueued_at, number) WHERE woken_at IS NULL;
CREATE INDEX key_waiters_woken ON key_waiters (lock) WHERE woken_at IS NOT NULL;

-- +goose Down
DROP TABLE key_waiters;
