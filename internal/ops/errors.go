package ops

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/telemetry"
)

// Alert adds an alert to the errors. It redacts nothing and so takes less than a
// microsecond; that is done before the alert is stored.
func (r *Recorder) Alert(alert telemetry.Alert) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	group := r.errors[alert.Fingerprint()]
	if group == nil {
		if len(r.errors) >= mostPendingErrors {
			r.dropped.WithLabelValues(droppedErrors).Inc()
			return
		}
		group = &newErrors{first: alert.At()}
		r.errors[alert.Fingerprint()] = group
	}
	group.count++
	group.last = alert
}

// Private

const (
	// mostPendingErrors bounds the groups of errors between two writes.
	mostPendingErrors = 200
	// longestText bounds a stored name or id, in bytes: an index takes no longer ones.
	longestText = 300
	// longestStack bounds the stored stack of a panic, in bytes.
	longestStack = 16 << 10
)

// newErrors are the errors of one group since the last write.
type newErrors struct {
	count int64
	first time.Time
	last  telemetry.Alert
}

// storeErrors adds the errors that wait to their groups. A resolved group is opened
// again. What cannot be written waits on, except a group whose text the database will
// never take.
func (r *Recorder) storeErrors(ctx context.Context, db *pgxpool.Pool) error {
	r.mutex.Lock()
	taken := r.errors
	r.errors = map[string]*newErrors{}
	r.mutex.Unlock()
	// All processes write in the same order, so that they never wait for each other in a
	// circle.
	for _, fingerprint := range slices.Sorted(maps.Keys(taken)) {
		err := r.storeGroup(ctx, db, fingerprint, taken[fingerprint])
		if err != nil && strings.HasPrefix(telemetry.Class(err), "sqlstate_22") { // data exception
			r.dropped.WithLabelValues(droppedErrors).Add(float64(taken[fingerprint].count))
			r.writes.Failed(ctx, err)
			err = nil
		}
		if err != nil {
			r.putErrorsBack(taken)
			return fmt.Errorf("store errors: %w", err)
		}
		delete(taken, fingerprint)
	}
	return nil
}

func (r *Recorder) storeGroup(ctx context.Context, db *pgxpool.Pool, fingerprint string, group *newErrors) error {
	alert := group.last
	_, err := db.Exec(ctx, `
		INSERT INTO ops_errors AS stored (
			id, title, source, class, backend, role, version, message, stack, trace, count, first_at, last_at
		)
		VALUES (
			$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, clock_timestamp() - $12::interval, clock_timestamp() - $13::interval
		)
		ON CONFLICT (id) DO UPDATE
		SET role = excluded.role, version = excluded.version, message = excluded.message, class = excluded.class,
		    stack = CASE WHEN excluded.stack = '' THEN stored.stack ELSE excluded.stack END,
		    trace = CASE WHEN excluded.trace = '' THEN stored.trace ELSE excluded.trace END,
		    count = stored.count + excluded.count,
		    last_at = greatest(stored.last_at, excluded.last_at),
		    reopened_at = CASE WHEN stored.resolved_at < excluded.last_at THEN excluded.last_at ELSE stored.reopened_at END,
		    mailed_at = CASE WHEN stored.resolved_at < excluded.last_at THEN NULL ELSE stored.mailed_at END,
		    resolved_at = CASE WHEN stored.resolved_at < excluded.last_at THEN NULL ELSE stored.resolved_at END`,
		errorID(fingerprint), shortText(alert.Title()), shortText(alert.Tag("source")), shortText(alert.Tag("class")),
		shortText(alert.Tag("backend")), r.options.Role, r.options.Version, printable(alert.Message()), stackOf(alert),
		shortText(alert.Tag("id")), group.count, time.Since(group.first), time.Since(alert.At()))
	return err
}

// putErrorsBack collects again what could not be written.
func (r *Recorder) putErrorsBack(taken map[string]*newErrors) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for fingerprint, group := range taken {
		newer := r.errors[fingerprint]
		if newer == nil {
			r.errors[fingerprint] = group
			continue
		}
		newer.count, newer.first = newer.count+group.count, group.first
	}
}

// errorID is the id of a group in addresses.
func errorID(fingerprint string) string {
	digest := sha256.Sum256([]byte(fingerprint))
	return hex.EncodeToString(digest[:8])
}

func stackOf(alert telemetry.Alert) string {
	stack := printable(alert.Stack())
	if len(stack) > longestStack {
		stack = strings.ToValidUTF8(stack[:longestStack], "") + "…"
	}
	return stack
}

// shortText is a name or an id as it is stored.
func shortText(text string) string {
	if len(text) > longestText {
		text = text[:longestText]
	}
	return printable(text)
}

// printable replaces what PostgreSQL does not store, and control characters that could
// mislead a reader of a terminal.
func printable(text string) string {
	return strings.Map(func(char rune) rune {
		if char < ' ' && char != '\n' && char != '\t' || char == 0x7f {
			return '�'
		}
		return char
	}, strings.ToValidUTF8(text, "�"))
}
