package jobs

import (
	"errors"
	"time"
)

// Private

// In a rolling deploy, workers of two releases run side by side. Work that one of
// them cannot read waits for the other and uses up no attempt.
const (
	// unreadablePause is how long work that this release cannot read waits.
	unreadablePause = 30 * time.Second
	// unreadableFor is how long after it was enqueued such work waits. A rolled-out
	// release that cannot read it either will never run it.
	unreadableFor = 24 * time.Hour
)

// unreadableError is the error of args that this release cannot read.
type unreadableError struct{ cause error }

func (u *unreadableError) Error() string { return u.cause.Error() }
func (u *unreadableError) Unwrap() error { return u.cause }

// waitForReader turns the error of args that cannot be read into Snooze, and into
// Permanent when they were enqueued too long ago, or at an unknown time.
func (h Handler) waitForReader(run Run, err error) error {
	var unreadable *unreadableError
	if !errors.As(err, &unreadable) {
		return err
	}
	if run.EnqueuedAt.IsZero() || time.Since(run.EnqueuedAt) > unreadableFor {
		return Permanent(err)
	}
	return &snoozeError{spread(unreadablePause), "this release cannot read it", err}
}
