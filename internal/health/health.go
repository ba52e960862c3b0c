// Package health answers two questions: can this process serve (/up), and what
// is the state of everything it depends on (/health). Both answer from what
// background probes last found out, so a frozen backend cannot hold them up.
package health

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/telemetry"
)

// Status is the state of one check or of all.
type Status string

// Degraded means that something is away which the program can do without;
// Error that it cannot do its work; Disabled that the operator switched the
// thing off.
const (
	OK       Status = "ok"
	Degraded Status = "degraded"
	Error    Status = "error"
	Disabled Status = "disabled"
)

// staleAfter is the age at which a result counts as failed: the probe hangs.
const staleAfter = 5 * time.Second

// Check is one line of /health.
type Check struct {
	Name     string
	Critical bool          // whether the process cannot serve without it
	Gate     bool          // whether /up waits for its first answer, for 5 s at most
	Disabled bool          // switched off by configuration: never probed
	Every    time.Duration // between two probes; 1 s when zero
	Again    time.Duration // between two while the check fails; Every when zero
	Timeout  time.Duration // of one probe; 500 ms when zero
	Probe    func(ctx context.Context) error
}

// NotReady wraps an error of a probe that keeps /up at 503: the process runs
// and the backend answers, and yet this build cannot serve with it.
func NotReady(err error) error { return &notReady{err} }

// Finding is an error of a probe that says itself how /health shows it. Any
// other error is shown by its class, as Error when its check is critical and
// else as Degraded.
type Finding struct {
	Status Status
	Reason string
}

func (f Finding) Error() string { return f.Reason }

// Result is what a check last found out.
type Result struct {
	Status  Status    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"` // of the present status
	Latency string    `json:"latency,omitempty"`
}

// Health runs the checks of one process.
type Health struct {
	checks []Check
	up     *prometheus.GaugeVec
	now    func() time.Time

	retired atomic.Bool // see Retire

	mutex    sync.Mutex
	bootedAt time.Time
	results  map[string]result
	notReady map[string]string // by check: why /up is 503
}

// New makes the health of a process from its checks, in the order in which
// /health shows them. Every check begins as failed until its first probe.
func New(registry prometheus.Registerer, checks ...Check) *Health {
	h := &Health{
		checks: checks,
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "app_backend_up",
			Help: "Whether the last probe of a backend went well.",
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

// gatePatience is how long /up waits for the first answer of a gate. A backend
// that is away for longer says nothing about this build, and a role that waits
// for it is up.
const gatePatience = 5 * time.Second

// Booted opens /up, as soon as every gate has answered: the process is able to
// serve.
func (h *Health) Booted() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.bootedAt = h.now()
}

// Run probes until ctx ends.
func (h *Health) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	for _, check := range h.checks {
		if !check.Disabled {
			probes.Go(func() { h.keepProbing(ctx, check) })
		}
	}
	probes.Wait()
	return nil
}

// Check returns the state of one check.
func (h *Health) Check(name string) Result {
	return h.Report().Checks[name]
}

// Report is the body of /health.
type Report struct {
	Status Status            `json:"status"`
	Checks map[string]Result `json:"checks"`
}

// Report sums up what the probes found out.
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

// Ready tells whether the process can serve, and if not, why.
func (h *Health) Ready() (bool, string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.bootedAt.IsZero() {
		return false, "booting"
	}
	for _, check := range h.checks {
		if check.Gate && !h.results[check.Name].answered && h.now().Sub(h.bootedAt) < gatePatience {
			return false, "booting" // this build may yet turn out not to fit
		}
		if reason, is := h.notReady[check.Name]; is {
			return false, reason
		}
	}
	return true, ""
}

// MayWork tells whether the process may begin to take work: it is ready, every
// gate has said so, however long that took, and it was not retired.
func (h *Health) MayWork() bool {
	if ready, _ := h.Ready(); !ready || h.retired.Load() {
		return false
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return !slices.ContainsFunc(h.checks, func(check Check) bool { return check.Gate && !h.results[check.Name].answered })
}

// Private

type notReady struct{ err error }

func (n *notReady) Error() string { return n.err.Error() }
func (n *notReady) Unwrap() error { return n.err }

// result is what one probe found out.
type result struct {
	answered bool // by the backend, at any time: that all is well or that this build does not fit
	err      error
	latency  time.Duration
	status   Status
	since    time.Time // of status
	at       time.Time
}

func (h *Health) show(check Check) Result {
	if check.Disabled {
		return Result{Status: Disabled}
	}
	last := h.results[check.Name]
	shown := Result{Status: OK, Since: last.since.UTC().Truncate(time.Millisecond), Latency: last.latency.Round(10 * time.Microsecond).String()}
	err := last.err
	if err == nil && h.now().Sub(last.at) > staleAfter+check.Every {
		err = fmt.Errorf("no probe has ended since %s", last.at.UTC().Format(time.RFC3339))
	}
	if err == nil {
		return shown
	}
	shown.Status = statusOf(check, err)
	shown.Reason = reasonOf(err)
	return shown
}

func statusOf(check Check, err error) Status {
	var finding Finding
	switch {
	case err == nil:
		return OK
	case errors.As(err, &finding):
		return finding.Status
	case check.Critical:
		return Error
	}
	return Degraded
}

func reasonOf(err error) string {
	var finding Finding
	if errors.As(err, &finding) {
		return finding.Reason
	}
	if class := telemetry.Class(err); class != "other" {
		return class
	}
	return telemetry.Scrub(err.Error())
}

func (h *Health) keepProbing(ctx context.Context, check Check) {
	every := check.Every
	if every == 0 {
		every = time.Second
	}
	again := check.Again
	if again == 0 {
		again = every
	}
	for {
		next := time.After(every)
		if !h.probe(ctx, check) {
			next = time.After(again)
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// probe tells whether all was well.
func (h *Health) probe(ctx context.Context, check Check) bool {
	timeout := check.Timeout
	if timeout == 0 {
		timeout = 500 * time.Millisecond
	}
	bounded, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()

	started := h.now()
	err := check.Probe(bounded)
	ended := h.now()
	if ctx.Err() != nil {
		return false
	}

	h.mutex.Lock()
	defer h.mutex.Unlock()
	last := h.results[check.Name]
	fresh := result{answered: last.answered, err: err, status: statusOf(check, err), latency: ended.Sub(started), since: last.since, at: ended}
	if fresh.status != last.status {
		fresh.since = ended
	}

	// An unreachable backend says nothing about readiness; only an answer does.
	var unfit *notReady
	switch {
	case errors.As(err, &unfit):
		h.notReady[check.Name] = unfit.Error()
		fresh.answered = true
	case err == nil:
		delete(h.notReady, check.Name)
		fresh.answered = true
	}
	h.results[check.Name] = fresh
	h.up.WithLabelValues(check.Name).Set(map[bool]float64{true: 1}[err == nil])
	return err == nil
}
