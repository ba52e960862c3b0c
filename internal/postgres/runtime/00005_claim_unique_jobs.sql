-- +goose Up

-- The keys of jobs that are unique within a time, while that time lasts.
CREATE TABLE unique_jobs (
	key    bytea PRIMARY KEY,    -- SHA-256 of the kind and of the args that must be equal
	until  timestamptz NOT NULL,
	job_id bigint                -- in river_job; null until the transaction that claims the key ends
);
CREATE INDEX unique_jobs_until ON unique_jobs (until);

-- +goose Down

DROP TABLE unique_jobs;
