package telemetry

import (
	"context"
	"time"
)

// Outage is a time in which the program does not call a backend, because it is
// away.
type Outage struct {
	reporter *Reporter
	backend  string
	name     string
	since    time.Time
	lasting  *time.Timer
}

// Away tells that a backend is not called until it is back, because of a
// failure of class. Name tells one of several from the others, as "shared" and
// "queue". Sentry hears of it when it lasts for a minute.
func (r *Reporter) Away(backend, name, class string, since time.Time) *Outage {
	o := &Outage{reporter: r, backend: backend, name: name, since: since}
	r.log.Log(context.Background(), severity(class), backend+" is away: calls are refused until it is back", "name", name, "reason", class)

	r.mutex.Lock()
	defer r.mutex.Unlock()
	o.lasting = time.AfterFunc(time.Until(since.Add(lastingAfter)), func() {
		defer r.survive()
		r.sentry.tell(outageAlarm(backend, name, class, since))
	})
	if r.closed {
		o.lasting.Stop()
		return o
	}
	r.outages[o] = struct{}{}
	return o
}

// Over tells that the backend is in use again, after calls that were refused
// and calls that failed.
func (o *Outage) Over(refused, failed int64) {
	r := o.reporter
	defer r.survive()
	o.lasting.Stop()
	now := time.Now()
	r.mutex.Lock()
	delete(r.outages, o)
	r.mutex.Unlock()

	// What is still to be said about the outage. A backend that comes and goes
	// all the time gets its summaries every 30 seconds as ever.
	r.flush(func(kind failureKind, run *failureRun) bool {
		if kind.backend != o.backend || now.Sub(run.returnedAt) < summaryEvery {
			return false
		}
		run.returnedAt = now
		return true
	})
	r.log.Info(o.backend+" is back", "name", o.name, "away", now.Sub(o.since).Round(time.Millisecond).String(), "refused", refused, "failed", failed)
}
