package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/getsentry/sentry-go"
)

// Dropped records that one task of this kind is lost because backend did not
// accept it. The first is logged at once. While tasks are dropped, one line a
// minute logs the count of each kind, and Sentry gets an alert with every such
// line: a planned restart, which is shorter, causes no alert.
func (r *Reporter) Dropped(backend Backend, kind string) {
	defer r.recoverPanic()
	r.mutex.Lock()
	run, known := r.drops[backend]
	if !known {
		run = &dropRun{}
		r.drops[backend] = run
	}
	if run.kinds == nil {
		run.kinds = map[string]int{}
	}
	run.kinds[kind]++
	r.mutex.Unlock()
	if !known {
		r.logDropped(backend)
	}
}

// Private

// droppedEvery is the time between two log lines about dropped tasks.
const droppedEvery = time.Minute

// dropRun counts a backend's dropped tasks. It ends after a minute without one.
type dropRun struct {
	kinds    map[string]int // count by kind since loggedAt
	timer    *time.Timer    // writes the next line; nil before the first line
	loggedAt time.Time
}

// logDropped logs the tasks that were dropped since the last line, or ends the
// run when there were none.
func (r *Reporter) logDropped(backend Backend) {
	defer r.recoverPanic()
	now := time.Now()
	r.mutex.Lock()
	run := r.drops[backend]
	if run == nil || len(run.kinds) == 0 {
		delete(r.drops, backend)
		r.mutex.Unlock()
		return
	}
	kinds, continues, since := run.kinds, run.timer != nil, run.loggedAt
	run.kinds, run.loggedAt = nil, now
	if !r.closed {
		run.timer = time.AfterFunc(droppedEvery, func() { r.logDropped(backend) })
	}
	r.mutex.Unlock()

	total, counts, words := 0, []any{}, []string{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		total += kinds[kind]
		counts = append(counts, slog.Int(kind, kinds[kind]))
		words = append(words, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	attributes := []any{"backend", string(backend), "dropped", total, slog.Group("kinds", counts...)}
	if continues {
		attributes = append(attributes, "within", now.Sub(since).Round(time.Second).String())
	}
	if continues && now.Sub(since) >= droppedEvery { // Close logs sooner, and a stopping role is no reason for an alert
		r.send(alert{
			level:       sentry.LevelWarning,
			fingerprint: backend.fingerprint("dropped"),
			title:       backend.Name() + " does not accept tasks: they are dropped",
			message:     strings.Join(words, ", ") + " in the last minute",
			tags:        map[string]string{"backend": string(backend)},
			at:          now,
		})
	}
	r.log.Log(context.Background(), slog.LevelWarn, "Tasks were dropped", attributes...)
}
