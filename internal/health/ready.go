package health

import (
	"slices"
	"time"
)

// Booted records that the process has started. From now on, Ready returns true
// as soon as every gate has a conclusive result.
func (h *Health) Booted() {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.bootedAt = h.now()
}

// Retire records that this process takes no more work, so that ServeReady
// responds 503. ServeUp still responds 200.
func (h *Health) Retire() { h.retired.Store(true) }

// Ready reports whether the process can serve, and if not, the reason.
func (h *Health) Ready() (bool, string) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.bootedAt.IsZero() {
		return false, "booting"
	}
	for _, check := range h.checks {
		if check.Gate && !h.results[check.Name].conclusive && h.now().Sub(h.bootedAt) < gateTimeout {
			return false, "booting" // the backend may yet turn out not to fit this build
		}
		if reason, is := h.notReady[check.Name]; is {
			return false, reason
		}
	}
	return true, ""
}

// MayWork reports whether the process may take work: it is ready, every gate has
// a conclusive result, however long that takes, and Retire was not called.
func (h *Health) MayWork() bool {
	if ready, _ := h.Ready(); !ready || h.retired.Load() {
		return false
	}
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return !slices.ContainsFunc(h.checks, func(check Check) bool { return check.Gate && !h.results[check.Name].conclusive })
}

// Private

// gateTimeout is how long Ready waits for the first conclusive result of a gate.
// A backend that is unavailable for longer is no reason to keep a role down,
// because the role waits for the backend by itself.
const gateTimeout = 5 * time.Second
