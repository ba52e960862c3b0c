package health

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"
)

// Run probes all checks that are not disabled until ctx ends, each in a
// goroutine of its own. It always returns nil.
func (h *Health) Run(ctx context.Context) error {
	var probes sync.WaitGroup
	for _, check := range h.checks {
		if !check.Disabled {
			probes.Go(func() { h.probeUntil(ctx, check) })
		}
	}
	probes.Wait()
	return nil
}

// Private

func (h *Health) probeUntil(ctx context.Context, check Check) {
	every := cmp.Or(check.Every, time.Second)
	retry := cmp.Or(check.RetryEvery, every)
	for {
		next := time.After(every)
		if !h.probe(ctx, check) {
			next = time.After(retry)
		}
		select {
		case <-ctx.Done():
			return
		case <-next:
		}
	}
}

// probe probes a check once, stores the result, and reports whether the probe
// succeeded. It stores nothing when ctx ends meanwhile.
func (h *Health) probe(ctx context.Context, check Check) bool {
	bounded, cancel := context.WithTimeout(ctx, cmp.Or(check.Timeout, 500*time.Millisecond))
	defer cancel()

	started := h.now()
	err := check.Probe(bounded)
	ended := h.now()
	if ctx.Err() != nil {
		return false
	}
	h.store(check, err, started, ended)
	return err == nil
}

func (h *Health) store(check Check, err error, started, ended time.Time) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	last := h.results[check.Name]
	fresh := result{
		conclusive: last.conclusive, succeeded: last.succeeded || err == nil, err: err, status: statusOf(check, err),
		latency: ended.Sub(started), since: last.since, at: ended,
	}
	if fresh.status != last.status {
		fresh.since = ended
	}

	// Any other error, such as of an unreachable backend, leaves readiness as it is.
	var unfit *notReady
	switch {
	case errors.As(err, &unfit) && unfit.atStart && last.succeeded:
		// It was ready before the backend began to refuse it.
	case errors.As(err, &unfit):
		h.notReady[check.Name] = unfit.Error()
		fresh.conclusive = true
	case err == nil:
		delete(h.notReady, check.Name)
		fresh.conclusive = true
	}
	h.results[check.Name] = fresh
	h.up.WithLabelValues(check.Name).Set(map[bool]float64{true: 1}[err == nil])
}
