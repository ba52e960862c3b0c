package jobs

import (
	"errors"
	"fmt"
	"time"
)

// Later is the error of a run that cannot go on now: it is run again after the
// pause, and that uses up no attempt.
func Later(after time.Duration, why string) error { return &laterError{after: after, why: why} }

// Private

type laterError struct {
	after time.Duration
	why   string
}

func (l *laterError) Error() string { return fmt.Sprintf("again in %s: %s", l.after, l.why) }

func isLater(err error) (time.Duration, bool) {
	var later *laterError
	if errors.As(err, &later) {
		return later.after, true
	}
	return 0, false
}
