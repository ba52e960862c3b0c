package health

import (
	"errors"
	"fmt"
	"time"

	"slipway/internal/telemetry"
)

// Result is the last result of a check, as /health shows it.
type Result struct {
	Status  Status    `json:"status"`
	Reason  string    `json:"reason,omitempty"`
	Since   time.Time `json:"since,omitzero"` // start of the current status
	Latency string    `json:"latency,omitempty"`
}

// Private

// staleAfter is how late a probe may be. A later probe counts as hanging, and its
// check fails.
const staleAfter = 5 * time.Second

// result is the result of one probe.
type result struct {
	conclusive bool // this or an earlier probe found out whether this build can work with the backend
	succeeded  bool // this or an earlier probe
	err        error
	latency    time.Duration
	status     Status
	since      time.Time // start of status
	at         time.Time
}

func (h *Health) show(check Check) Result {
	if check.Disabled {
		return Result{Status: Disabled}
	}
	last := h.results[check.Name]
	shown := Result{
		Status:  OK,
		Since:   last.since.UTC().Truncate(time.Millisecond),
		Latency: last.latency.Round(10 * time.Microsecond).String(),
	}
	err := last.err
	if err == nil && h.now().Sub(last.at) > staleAfter+check.Every {
		shown.Since = last.at.UTC().Truncate(time.Millisecond) // since then nobody knows, and before it was well
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
