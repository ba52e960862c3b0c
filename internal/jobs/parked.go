package jobs

import (
	"errors"

	"github.com/riverqueue/river/rivertype"
)

// Private

// errParked is the result of a run that now waits for its key, or for the end of a
// pause.
var errParked = errors.New("waits for its turn")

// parkedError is errParked with the reason. River stores no result for it, because
// its methods name no job that has one: the job is parked already, and may run
// again before River, which stores results in batches, would have stored it.
type parkedError struct{ reason string }

func (p *parkedError) Error() string { return p.reason }

// Unwrap makes the run count as snoozed.
func (p *parkedError) Unwrap() []error { return []error{errParked, Snooze(parkedFor, p.Error())} }

// ErrorsByID and Jobs are what River asks a run of several jobs for.
func (p *parkedError) ErrorsByID() map[int64]error { return nil }

// Jobs returns the jobs whose results River stores.
func (p *parkedError) Jobs() []*rivertype.JobRow { return nil }
