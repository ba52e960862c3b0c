package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"slipway/internal/jobs/batch"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/operators"
	"slipway/internal/postgres"
)

// Private

// refusalOf is the response to an error.
func refusalOf(err error) (operators.Refusal, bool) {
	var wrong *inputError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &wrong):
		return refused(http.StatusUnprocessableEntity, "This cannot be done", wrong.Error()), true
	case errors.Is(err, inspect.ErrFilter), errors.Is(err, inspect.ErrCursor):
		return refused(http.StatusUnprocessableEntity, "The filter cannot be read", err.Error()), true
	case errors.Is(err, inspect.ErrNotFound), errors.Is(err, batch.ErrNotFound), errors.Is(err, recurring.ErrNoSuchEntry):
		return refused(http.StatusNotFound, "It is not there", "It was deleted, or it has ended and was not kept: "+err.Error()), true
	case errors.Is(err, inspect.ErrState), errors.Is(err, inspect.ErrEqual), errors.Is(err, batch.ErrFinished):
		return refused(http.StatusConflict, "Not any more", err.Error()), true
	case errors.Is(err, inspect.ErrNoRedis):
		return refused(http.StatusConflict, "There is no Redis", err.Error()), true
	case errors.As(err, &tooLarge):
		return refused(http.StatusRequestEntityTooLarge, "Too large", fmt.Sprintf("A form may have %d bytes.", tooLarge.Limit)), true
	case errors.Is(err, inspect.ErrGone), errors.Is(err, inspect.ErrNoAnswer):
		return refused(http.StatusConflict, "The worker did not obey", err.Error()), true
	case errors.Is(err, inspect.ErrRedis), postgres.Unusable(err), errors.Is(err, context.DeadlineExceeded):
		return refused(http.StatusServiceUnavailable, "A backend does not reply", operators.DownText(err)), true
	}
	return operators.Refusal{}, false
}

func refused(status int, title, text string) operators.Refusal {
	return operators.Refusal{Status: status, Title: title, Text: text}
}

// inputError is wrong input of an operator. Its text says what to write instead.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }

func (e *inputError) Unwrap() error { return e.err }

func wrongInput(format string, values ...any) error {
	return &inputError{fmt.Errorf(format, values...)}
}

// within calls do with the time that a screen has for one backend.
func (d *Dashboard) within(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.patience)
	defer cancel()
	return do(ctx)
}
