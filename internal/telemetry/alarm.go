package telemetry

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/getsentry/sentry-go"
	"github.com/jackc/pgx/v5/pgconn"
)

// alarm is one thing that people are told. What it holds is raw: it becomes an
// event, and is redacted, where nobody waits for it.
type alarm struct {
	level       sentry.Level
	fingerprint string
	title       string
	message     string
	tags        map[string]string
	stack       string // of a panic
	at          time.Time
}

// backendAlarm tells of a backend that keeps failing.
func backendAlarm(backend, source, class string, err error) alarm {
	a := alarm{
		level:       sentryLevel(class),
		fingerprint: strings.ToLower(backend) + "/" + class,
		title:       backend + " error: " + class,
		message:     err.Error(),
		tags:        map[string]string{"backend": backend, "source": source, "class": class},
		at:          time.Now(),
	}
	var panicked *Panic
	if errors.As(err, &panicked) {
		a.stack = panicked.Stack
	}
	return a
}

// outageAlarm tells of a backend that is still away.
func outageAlarm(backend, name, class string, since time.Time) alarm {
	return alarm{
		level:       sentry.LevelError,
		fingerprint: strings.ToLower(backend) + "/" + class,
		title:       backend + " is away: " + class,
		message:     "calls are refused since " + since.UTC().Format(time.RFC3339),
		tags:        map[string]string{"backend": backend, "name": name, "class": class},
		at:          time.Now(),
	}
}

// unexpectedAlarm tells of an error that nobody foresaw.
func unexpectedAlarm(source, id string, err error) alarm {
	class := Class(err)
	a := alarm{
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

// event is what Sentry gets: what went wrong and where, and nothing about who
// was there.
func (a alarm) event(role string) *sentry.Event {
	event := sentry.NewEvent()
	event.Level = a.level
	event.Timestamp = a.at
	event.Fingerprint = []string{a.fingerprint}
	event.Exception = []sentry.Exception{{Type: a.title, Value: cut(redact(a.message))}}
	if frames := framesOf(a.stack); len(frames) > 0 {
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
