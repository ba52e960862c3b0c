package health

import (
	"fmt"
	"net/http"
)

// Retire tells that this process takes no more work. It is up all the same.
func (h *Health) Retire() { h.retired.Store(true) }

// ServeReady answers /ready: 200 while the process takes work, else 503 with
// the reason.
func (h *Health) ServeReady(w http.ResponseWriter, _ *http.Request) {
	ready, reason := h.Ready()
	if ready && h.retired.Load() {
		ready, reason = false, "quiet: no more work is taken"
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, reason)
		return
	}
	fmt.Fprintln(w, "ready")
}
