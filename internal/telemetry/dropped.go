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

// Dropped tells that work of a kind is lost because backend did not take it. The
// log hears of the first at once and then, while it goes on, once a minute how
// much it was of each kind. Sentry hears with the log from the second time on: a
// planned restart pages nobody.
func (r *Reporter) Dropped(backend, kind string) {
	defer r.survive()
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
		r.tellDropped(backend)
	}
}

// Private

// droppedEvery is how often it is told that work is dropped.
const droppedEvery = time.Minute

// dropRun is a time in which work of a backend is dropped. It ends when none was
// for a minute.
type dropRun struct {
	kinds  map[string]int // since it was last told
	timer  *time.Timer    // tells what comes; nil before the first time
	toldAt time.Time
}

// tellDropped tells what was dropped since the last time, or ends a run that has
// gone quiet.
func (r *Reporter) tellDropped(backend string) {
	defer r.survive()
	now := time.Now()
	r.mutex.Lock()
	run := r.drops[backend]
	if run == nil || len(run.kinds) == 0 {
		delete(r.drops, backend)
		r.mutex.Unlock()
		return
	}
	kinds, goesOn, since := run.kinds, run.timer != nil, run.toldAt
	run.kinds, run.toldAt = nil, now
	if !r.closed {
		run.timer = time.AfterFunc(droppedEvery, func() { r.tellDropped(backend) })
	}
	r.mutex.Unlock()

	total, counts, words := 0, []any{}, []string{}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		total += kinds[kind]
		counts = append(counts, slog.Int(kind, kinds[kind]))
		words = append(words, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	attributes := []any{"dropped", total, slog.Group("kinds", counts...)}
	if goesOn {
		attributes = append(attributes, "within", now.Sub(since).Round(time.Second).String())
	}
	if goesOn && now.Sub(since) >= droppedEvery { // not where Close tells what is left
		r.sentry.tell(alarm{
			level:       sentry.LevelWarning,
			fingerprint: strings.ToLower(backend) + "/dropped",
			title:       backend + " does not take tasks: they are dropped",
			message:     strings.Join(words, ", ") + " in the last minute",
			tags:        map[string]string{"backend": backend},
			at:          now,
		})
	}
	r.log.Log(context.Background(), slog.LevelWarn, "Tasks were dropped: "+backend+" did not take them", attributes...)
}
