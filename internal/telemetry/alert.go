package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/getsentry/sentry-go"
	"github.com/jackc/pgx/v5/pgconn"
)

// alert is one message for operators. Its fields are not yet redacted: the
// sending goroutine redacts them, so that the caller does not wait for it.
type alert struct {
	level       sentry.Level
	fingerprint string
	title       string
	message     string
	tags        map[string]string
	stack       string // of a panic, else empty
	at          time.Time
}

// Alert is a message for operators. Its methods redact it, which takes some time, so
// call them where nobody waits.
type Alert struct{ of alert }

// Fingerprint is the same for all alerts with one cause.
func (a Alert) Fingerprint() string { return a.of.fingerprint }

// At is when it happened.
func (a Alert) At() time.Time { return a.of.at }

// Title is the kind of error, without a value.
func (a Alert) Title() string { return redact(a.of.title) }

// Message is the text of the error without secrets and personal data.
func (a Alert) Message() string { return truncate(redact(a.of.message)) }

// Stack is the stack of a panic as runtime/debug.Stack writes it, and else empty. It
// holds functions and lines, and no text of the program's data.
func (a Alert) Stack() string { return a.of.stack }

// Tag is one of the tags source, class, id, backend, name, table, column and constraint;
// empty: the alert does not have it.
func (a Alert) Tag(name string) string { return redact(a.of.tags[name]) }

// Private

// backendAlert is the alert for a failed call of a backend.
func backendAlert(backend Backend, source, class string, err error) alert {
	a := alert{
		level:       sentryLevel(class),
		fingerprint: backend.fingerprint(class),
		title:       backend.Name() + " error: " + class,
		message:     err.Error(),
		tags:        map[string]string{"backend": string(backend), "source": source, "class": class},
		at:          time.Now(),
	}
	var panicked *Panic
	if errors.As(err, &panicked) {
		a.stack = panicked.Stack
	}
	return a
}

// outageAlert is the alert for a backend that has been unavailable for a minute.
func outageAlert(backend Backend, name, class string, since time.Time) alert {
	return alert{
		level:       sentry.LevelError,
		fingerprint: backend.fingerprint(class),
		title:       backend.Name() + " is unavailable: " + class,
		message:     "calls have been refused since " + since.UTC().Format(time.RFC3339),
		tags:        map[string]string{"backend": string(backend), "name": name, "class": class},
		at:          time.Now(),
	}
}

// unexpectedAlert is the alert for an error that the code does not handle.
func unexpectedAlert(source, id string, err error) alert {
	class := Class(err)
	a := alert{
		level:   sentry.LevelError,
		title:   fmt.Sprintf("%T", innermost(err)),
		message: err.Error(),
		tags:    map[string]string{"source": source, "id": id, "class": class},
		at:      time.Now(),
	}
	var panicked *Panic
	if errors.As(err, &panicked) {
		a.level, a.title, a.stack = sentry.LevelFatal, "panic", panicked.Stack
	}
	var postgres *pgconn.PgError
	if errors.As(err, &postgres) {
		a.tags["table"], a.tags["column"], a.tags["constraint"] = postgres.TableName, postgres.ColumnName, postgres.ConstraintName
	}
	a.fingerprint = "unexpected/" + source + "/" + a.title + "/" + class
	return a
}

// event converts the alert to a Sentry event without personal data.
func (a alert) event(role string) *sentry.Event {
	event := sentry.NewEvent()
	event.Level = a.level
	event.Timestamp = a.at
	event.Fingerprint = []string{a.fingerprint}
	event.Exception = []sentry.Exception{{Type: a.title, Value: truncate(redact(a.message))}}
	if frames := parseFrames(a.stack); len(frames) > 0 {
		event.Exception[0].Stacktrace = &sentry.Stacktrace{Frames: frames}
	}
	event.Tags = map[string]string{"role": role}
	for name, value := range a.tags {
		if value != "" {
			event.Tags[name] = redact(value)
		}
	}
	return event
}

func sentryLevel(class string) sentry.Level {
	if severity(class) >= slog.LevelError {
		return sentry.LevelError
	}
	return sentry.LevelWarning
}

func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}
