package telemetry

import (
	"context"
	"time"
)

// Outage is a period in which the application does not call a backend, because
// the backend is unavailable.
type Outage struct {
	reporter   *Reporter
	backend    Backend
	name       string
	since      time.Time
	alertTimer *time.Timer
}

// BeginOutage logs the start of an outage: from now on, calls of backend are
// refused because of a failure of this class. The name distinguishes several
// connections to one backend, such as "shared" and "queue". Sentry gets an alert
// when the outage is a minute old. The caller ends the outage with End.
func (r *Reporter) BeginOutage(backend Backend, name, class string, since time.Time) *Outage {
	o := &Outage{reporter: r, backend: backend, name: name, since: since}
	r.log.Log(context.Background(), severity(class), "Backend is unavailable, calls are refused",
		"backend", string(backend), "name", name, "reason", class)

	r.mutex.Lock()
	defer r.mutex.Unlock()
	o.alertTimer = time.AfterFunc(time.Until(since.Add(persistentAfter)), func() {
		defer r.recoverPanic()
		r.send(outageAlert(backend, name, class, since))
	})
	if r.closed {
		o.alertTimer.Stop()
		return o
	}
	r.outages[o] = struct{}{}
	return o
}

// Flaps logs that the backend fails again soon after each recovery: since when, how
// often calls were refused, and the class of the last failure. The outage goes on
// until the backend stays available. Call it at most once.
func (o *Outage) Flaps(times int, class string, since time.Time) {
	defer o.reporter.recoverPanic()
	o.reporter.log.Warn("Backend fails again soon after each recovery", "backend", string(o.backend), "name", o.name,
		"reason", class, "times", times, "within", time.Since(since).Round(time.Second).String())
}

// End logs that the backend is available again, and how many calls were refused
// and how many failed during the outage. The backend's suppressed failures are
// logged first. Call it once.
func (o *Outage) End(refused, failed int64) {
	r := o.reporter
	defer r.recoverPanic()
	o.alertTimer.Stop()
	now := time.Now()
	r.mutex.Lock()
	delete(r.outages, o)
	r.mutex.Unlock()

	// A backend whose outages are short and frequent still gets one summary in
	// summaryEvery.
	r.flush(func(kind failureKind, run *failureRun) bool {
		if kind.backend != o.backend || now.Sub(run.recoveredAt) < summaryEvery {
			return false
		}
		run.recoveredAt = now
		return true
	})
	r.log.Info("Backend is available again", "backend", string(o.backend), "name", o.name,
		"away", now.Sub(o.since).Round(time.Millisecond).String(), "refused", refused, "failed", failed)
}
