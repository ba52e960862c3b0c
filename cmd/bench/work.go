package main

import (
	"github.com/riverqueue/river"

	"slipway/internal/jobs"
)

// noop is a job that does nothing.
type noop struct {
	Sent int64 `json:"sent"` // Unix nanoseconds of its enqueueing; 0 measures no latency
}

// Kind is the kind of the job in River and asynq.
func (noop) Kind() string { return "noop" }

// Declare declares the job to the runtime.
func (noop) Declare() jobs.Declaration { return jobs.Declaration{Kind: "noop"} }

// mixed is a job with mixed outcomes, see mix.
type mixed struct {
	Number int `json:"number"`
}

// Declare declares the job to the runtime.
func (mixed) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "mixed", Backoff: jobs.Quick}
}

// noopWorker is the worker of noop for plain River.
type noopWorker struct {
	river.WorkerDefaults[noop]
	done func(sent int64)
}
