package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/riverqueue/river"

	"slipway/internal/telemetry"
)

// ErrStuck ends a worker whose handlers ignore the end of their context: more than
// half as many as it has slots, or one for almost an hour. Only the end of the
// process ends such a handler, so that its work can run again.
var ErrStuck = errors.New("handlers ignore the end of their context, and only a restart of this worker ends them")

// Private

const (
	// stuckGrace is how long a handler may still run after the end of its context.
	stuckGrace = 30 * time.Second
	// stuckUntil is the run time at which a stuck handler ends the worker. It is less
	// than rescueAfter: River would run the job a second time beside it.
	stuckUntil = rescueAfter - 10*time.Minute
)

// stuckRuns are the runs of a worker whose handlers ignore the end of their
// context. Their slots run other work.
type stuckRuns struct {
	backend  Backend
	handlers Handlers
	slots    int
	grace    time.Duration
	log      *slog.Logger
	metrics  *Metrics
	reporter *telemetry.Reporter

	tooMany chan struct{} // receives one item when the worker must end

	mutex sync.Mutex
	kinds map[string]string // by id
}

func newStuckRuns(backend Backend, handlers Handlers, slots int, grace time.Duration, log *slog.Logger, metrics *Metrics,
	reporter *telemetry.Reporter) *stuckRuns {
	if grace == 0 {
		grace = stuckGrace
	}
	for _, kind := range handlers.Kinds() {
		metrics.stuck.WithLabelValues(string(backend), kind) // starts at 0
	}
	return &stuckRuns{
		backend: backend, handlers: handlers, slots: slots, grace: grace, log: log, metrics: metrics, reporter: reporter,
		tooMany: make(chan struct{}, 1), kinds: map[string]string{},
	}
}

// check returns an error that counts the stuck runs of each kind, nil without any.
func (s *stuckRuns) check() error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if len(s.kinds) == 0 {
		return nil
	}
	counts := map[string]int{}
	for _, kind := range s.kinds {
		counts[kind]++
	}
	var named []string
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		named = append(named, fmt.Sprintf("%d of %s", counts[kind], kind))
	}
	return fmt.Errorf("handlers ignore the end of their context: %s", strings.Join(named, ", "))
}

// has reports whether a run of the work is stuck in this process.
func (s *stuckRuns) has(id string) bool {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	_, stuck := s.kinds[id]
	return stuck
}

// add counts, logs and reports a stuck run. Call ended when its handler ends.
func (s *stuckRuns) add(kind, id string) (ended func()) {
	timeout := defaultTimeout
	if handler, known := s.handlers.Find(kind); known {
		timeout = handler.Timeout
	}
	s.log.Error("Handler ignores the end of its context; its slot runs other work",
		"kind", kind, "id", id, "timeout", timeout.String(), "late", s.grace.String())
	s.reporter.Unexpected(s.backendNoun()+" "+kind, id, fmt.Errorf("the handler ignored the end of its context for %s", s.grace))
	s.metrics.stuck.WithLabelValues(string(s.backend), kind).Inc()

	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.kinds[id] = kind
	if 2*len(s.kinds) > s.slots {
		s.endWorker()
	}
	tooLong := time.AfterFunc(max(stuckUntil-timeout-s.grace, 0), s.endWorker)
	return func() {
		tooLong.Stop()
		s.metrics.stuck.WithLabelValues(string(s.backend), kind).Dec()
		s.mutex.Lock()
		defer s.mutex.Unlock()
		delete(s.kinds, id)
	}
}

// handleJob is called by River when a job is stuck.
func (s *stuckRuns) handleJob(ctx context.Context, job river.JobStuckHandlerParams) river.JobStuckHandlerResult {
	context.AfterFunc(ctx, s.add(job.Kind, fmt.Sprint(job.ID))) // River ends ctx when the handler ends
	return river.JobStuckHandlerResult{AddWorkerSlot: true}
}

func (s *stuckRuns) endWorker() {
	select {
	case s.tooMany <- struct{}{}:
	default:
	}
}

func (s *stuckRuns) backendNoun() string {
	if s.backend == Redis {
		return "task"
	}
	return "job"
}
