package health

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// ServeUp answers /up: 200 when the process can serve, else 503 and why. It is
// what a proxy asks before it sends traffic; it does no I/O.
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

// ServeHealth answers /health: 200 for ok and degraded, 503 for error.
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
	_ = encoder.Encode(report) // the only error is a client that has gone
}
