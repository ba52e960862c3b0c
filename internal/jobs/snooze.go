package jobs

import (
	"errors"
	"fmt"
	"time"
)

// Snooze returns the error of a run that cannot go on now. The work runs again
// after the pause, and the run uses up no attempt.
func Snooze(after time.Duration, reason string) error {
	return &snoozeError{after: after, reason: reason}
}

// Private

type snoozeError struct {
	after  time.Duration
	reason string
	cause  error // may be nil
}

func (s *snoozeError) Unwrap() error { return s.cause }

func (s *snoozeError) Error() string {
	return fmt.Sprintf("snoozed for %s: %s", s.after, s.reason)
}

// isSnooze reports whether a run ended with Snooze, and for how long.
func isSnooze(err error) (time.Duration, bool) {
	var snooze *snoozeError
	if errors.As(err, &snooze) {
		return snooze.after, true
	}
	return 0, false
}
