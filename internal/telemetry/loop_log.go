package telemetry

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// repeatEvery is the shortest time between two log lines about one failure of a loop.
const repeatEvery = time.Minute

// LoopLog logs the failures of a loop that goes on and tries again: the first at
// once, the same failure again at most once a minute with the number of those
// between, and one line when the loop works again. Failures of one class (see
// Class) are the same. Several goroutines may use it.
type LoopLog struct {
	log           *slog.Logger
	failed, works string

	mutex    sync.Mutex
	logged   map[string]time.Time // by class, the last line about it
	unlogged int                  // failures since the last line
	failures int                  // since the loop worked
	since    time.Time            // the first of failures
	told     bool                 // one of failures was logged
}

// NewLoopLog returns the log of a loop. The sentences failed and works are the
// messages of its lines.
func NewLoopLog(log *slog.Logger, failed, works string) *LoopLog {
	return &LoopLog{log: log, failed: failed, works: works, logged: map[string]time.Time{}}
}

// Failed logs a round that failed with err, at warn. The attributes are added to the
// line.
func (l *LoopLog) Failed(ctx context.Context, err error, attributes ...any) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := time.Now()
	if l.failures++; l.failures == 1 {
		l.since = now
	}
	class := Class(err)
	if at, known := l.logged[class]; known && now.Sub(at) < repeatEvery {
		l.unlogged++
		return
	}
	line := append([]any{"error", truncate(Scrub(err.Error()))}, attributes...)
	if l.unlogged > 0 {
		line = append(line, "again", l.unlogged, "since", l.since.UTC().Format(time.RFC3339))
	}
	l.log.WarnContext(ctx, l.failed, line...)
	l.logged[class], l.unlogged, l.told = now, 0, true
}

// Worked logs the first round that works after failures that were logged, at info.
func (l *LoopLog) Worked(ctx context.Context) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.told {
		l.log.InfoContext(ctx, l.works, "failures", l.failures, "after", time.Since(l.since).Round(time.Millisecond).String())
	}
	l.failures, l.unlogged, l.told = 0, 0, false
}
