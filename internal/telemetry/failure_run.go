package telemetry

import "time"

// failureKind is what failures have in common that are logged together.
type failureKind struct{ backend, source, class string }

// failureRun are failures of one kind in a row. It ends when nothing of its
// kind has failed for 30 seconds.
type failureRun struct {
	loggedAt   time.Time
	suppressed int
	last       error       // of those suppressed
	timer      *time.Timer // writes the next summary, or ends the run
	returnedAt time.Time   // when the backend's return last made it write one
}

// isFirst tells whether a failure begins a run. Else the run's next summary
// counts it.
func (r *Reporter) isFirst(kind failureKind, err error) bool {
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

// summarize writes what a run has suppressed, or ends a run that has gone
// quiet.
func (r *Reporter) summarize(kind failureKind) {
	defer r.survive()
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

// flush writes at once what the runs that are due have suppressed.
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
		r.write(s.kind, s.last, "suppressed", s.count, "within", s.within.Round(time.Second).String())
	}
}
