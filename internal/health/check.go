package health

import (
	"context"
	"time"
)

// Check is one line of /health.
type Check struct {
	Name       string
	Critical   bool          // the process cannot work while this check fails
	Gate       bool          // Ready waits for its first conclusive result, for 5 s at most; MayWork waits without limit
	Disabled   bool          // switched off by configuration, so never probed
	Every      time.Duration // between two probes; 1 s when zero
	RetryEvery time.Duration // between two probes while the check fails; Every when zero
	Timeout    time.Duration // of one probe; 500 ms when zero
	// Probe returns nil when all is well. Its error may be made by NotReady or
	// Refused, and may be a Finding. It is called by one goroutine at a time.
	Probe func(ctx context.Context) error
}

// Status is the state of one check, or of all checks together.
type Status string

// The states, from good to bad, and that of a check that never runs.
const (
	OK       Status = "ok"
	Degraded Status = "degraded" // something fails that the process can work without
	Error    Status = "error"    // the process cannot do its work
	Disabled Status = "disabled" // the operator has switched it off
)

// NotReady wraps a probe's error and keeps /up at 503 until the probe succeeds:
// the backend replies, but this build cannot work with it.
func NotReady(err error) error { return &notReady{err: err} }

// Refused wraps a probe's error: the backend replies, and does not accept this
// process. It keeps /up at 503 as NotReady does, but only until the check's first
// success. A process that has served stays up, because its cached pages are worth
// more than no pages.
func Refused(err error) error { return &notReady{err: err, atStart: true} }

// Finding is a probe's error that sets how /health shows it. For any other error
// /health shows its class as the reason, with Error for a critical check and
// Degraded otherwise.
type Finding struct {
	Status Status
	Reason string
}

func (f Finding) Error() string { return f.Reason }

// Private

type notReady struct {
	err     error
	atStart bool // the error counts only before the check's first success
}

func (n *notReady) Error() string { return n.err.Error() }
func (n *notReady) Unwrap() error { return n.err }
