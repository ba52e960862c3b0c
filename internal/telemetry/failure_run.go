package telemetry

import "time"

// failureKind identifies failures that share their log lines.
type failureKind struct {
	backend       Backend
	source, class string
}

// failureRun is a series of failures of one kind. It ends when no failure of
// its kind occurs for summaryEvery.
type failureRun struct {
	loggedAt    time.Time
	suppressed  int         // failures that are not logged yet
	last        error       // the last of them
	timer       *time.Timer // writes the next summary, or ends the run
	recoveredAt time.Time   // when the end of an outage last flushed this run
}

// addFailure adds a failure to the run of its kind and reports whether it is the
// run's first. A first failure is for the caller to log; the run's next summary
// counts the others.
func (r *Reporter) addFailure(kind failureKind, err error) bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if _, known := r.kinds[kind]; !known && len(r.kinds) >= maxKinds {
		kind.source = "others"
	}
	run, known := r.kinds[kind]
	if known {
		run.suppressed++
		run.last = err
		return false
	}
	r.kinds[kind] = &failureRun{
		loggedAt: time.Now(),
		timer:    time.AfterFunc(summaryEvery, func() { r.summarize(kind) }),
	}
	return true
}

// summarize logs the suppressed failures of a run, or ends the run when there
// are none.
func (r *Reporter) summarize(kind failureKind) {
	defer r.recoverPanic()
	r.mutex.Lock()
	run := r.kinds[kind]
	if run != nil && run.suppressed == 0 {
		delete(r.kinds, kind)
		run = nil
	}
	r.mutex.Unlock()
	if run != nil {
		r.flush(func(one failureKind, _ *failureRun) bool { return one == kind })
	}
}

// flush logs the suppressed failures of every run for which due returns true.
func (r *Reporter) flush(due func(failureKind, *failureRun) bool) {
	type summary struct {
		kind   failureKind
		last   error
		count  int
		within time.Duration
	}
	var summaries []summary
	now := time.Now()
	r.mutex.Lock()
	for kind, run := range r.kinds {
		if run.suppressed == 0 || !due(kind, run) {
			continue
		}
		summaries = append(summaries, summary{kind, run.last, run.suppressed, now.Sub(run.loggedAt)})
		run.loggedAt, run.suppressed, run.last = now, 0, nil
		if !r.closed {
			run.timer.Reset(summaryEvery)
		}
	}
	r.mutex.Unlock()

	for _, s := range summaries {
		r.logFailure(s.kind, s.last, "suppressed", s.count, "within", s.within.Round(time.Second).String())
	}
}
