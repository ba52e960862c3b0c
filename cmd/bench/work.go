package main

import (
	"github.com/riverqueue/river"

	"slipway/internal/jobs"
)

// noop is work that does nothing but say when it was enqueued.
type noop struct {
	Sent int64 `json:"sent"` // nanoseconds since 1970
}

// Kind is the name for River and asynq.
func (noop) Kind() string { return "noop" }

// Declare is the name for the runtime.
func (noop) Declare() jobs.Declaration { return jobs.Declaration{Kind: "noop"} }

// mixed is work of several kinds: quick, slow, failing, panicking, put off.
type mixed struct {
	Number int `json:"number"`
}

// Declare describes the work.
func (mixed) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "mixed", Backoff: jobs.Quick}
}

// noopWorker is noop as a raw River works it.
type noopWorker struct {
	river.WorkerDefaults[noop]
	done func(sent int64)
}
