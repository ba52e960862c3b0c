package telemetry

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outgoing times the calls of servers outside the application, such as for mail and
// payment. Each becomes a span of the trace of its context. A nil Outgoing only calls.
type Outgoing struct{ seconds *prometheus.HistogramVec }

// NewOutgoing registers the metric of outgoing calls.
func NewOutgoing(registry prometheus.Registerer) *Outgoing {
	o := &Outgoing{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "app_outgoing_call_seconds",
		Help:    "Duration of calls of servers outside the application, by service and by result (ok or failed).",
		Buckets: []float64{.005, .025, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"service", "result"})}
	registry.MustRegister(o.seconds)
	return o
}

// Call calls do and returns its error. The service has few values.
func (o *Outgoing) Call(ctx context.Context, service string, do func(ctx context.Context) error) error {
	if o == nil {
		return do(ctx)
	}
	began := time.Now()
	err := do(ctx)
	took, result := time.Since(began), "ok"
	if err != nil {
		result = "failed"
	}
	o.seconds.WithLabelValues(service, result).Observe(took.Seconds())
	TraceOf(ctx).AddSpan(OutgoingSpan, service, began, took, err)
	return err
}
