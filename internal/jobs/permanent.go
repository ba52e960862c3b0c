package jobs

import "errors"

// Permanent returns the error of a run that no later attempt can mend. The work
// fails for good at once, even when it has attempts left, and operators see it
// among the failed work.
func Permanent(err error) error { return &permanentError{err} }

// Private

type permanentError struct{ cause error }

func (p *permanentError) Error() string { return p.cause.Error() }
func (p *permanentError) Unwrap() error { return p.cause }

// isPermanent reports whether a run ended with Permanent.
func isPermanent(err error) bool {
	var permanent *permanentError
	return errors.As(err, &permanent)
}
