package health

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ServeUp serves /up, which a proxy requests before it sends traffic: 200 when
// the process can serve, else 503 with the reason. It does no I/O.
func (h *Health) ServeUp(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if ready, reason := h.Ready(); !ready {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, reason)
		return
	}
	fmt.Fprintln(w, "up")
}

// ServeReady serves /ready: 200 while the process takes work, else 503 with the
// reason.
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

// ServeHealth serves /health, a Report in JSON: 200 for ok and degraded, 503 for
// error.
func (h *Health) ServeHealth(w http.ResponseWriter, _ *http.Request) {
	report := h.Report()
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	if report.Status == Error {
		w.Header().Set("Retry-After", "5")
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(report) // fails only when the client has disconnected
}
