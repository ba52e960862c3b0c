// Package health answers two questions: can this process serve (/up), and what
// is the state of everything it depends on (/health). Both answer from the last
// results of background probes, so a backend that hangs cannot delay them.
package health

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Health runs the checks of one process.
type Health struct {
	checks []Check
	up     *prometheus.GaugeVec
	now    func() time.Time

	retired atomic.Bool // see Retire

	mutex    sync.Mutex
	bootedAt time.Time // zero before Booted
	results  map[string]result
	notReady map[string]string // by check: why /up is 503
}

// New returns the health of a process. The order of checks is the order in which
// Report evaluates them. Every check counts as failed until its first probe.
func New(registry prometheus.Registerer, checks ...Check) *Health {
	h := &Health{
		checks: checks,
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "app_backend_up",
			Help: "1 when the last probe of the check succeeded, else 0.",
		}, []string{"check"}),
		now:      time.Now,
		results:  map[string]result{},
		notReady: map[string]string{},
	}
	registry.MustRegister(h.up)
	for _, check := range checks {
		unknown := errors.New("not probed yet")
		h.results[check.Name] = result{err: unknown, status: statusOf(check, unknown), since: h.now(), at: h.now()}
	}
	return h
}

// Report is the body of /health.
type Report struct {
	Status Status            `json:"status"`
	Checks map[string]Result `json:"checks"`
}

// Report returns the last result of every check, and the worst status of all.
func (h *Health) Report() Report {
	h.mutex.Lock()
	defer h.mutex.Unlock()

	report := Report{Status: OK, Checks: map[string]Result{}}
	for _, check := range h.checks {
		shown := h.show(check)
		report.Checks[check.Name] = shown
		switch {
		case shown.Status == Error:
			report.Status = Error
		case shown.Status == Degraded && report.Status == OK:
			report.Status = Degraded
		}
	}
	return report
}
