package mail

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics count the mails of a process. A nil Metrics counts nothing.
type Metrics struct{ mails *prometheus.CounterVec }

// NewMetrics registers the metrics of mails.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_mails_total",
		Help: "Attempts to send a mail: sent, failed (it is sent later), or undeliverable (never).",
	}, []string{"result"})}
	for _, result := range []string{mailSent, mailFailed, mailUndeliverable} {
		m.mails.WithLabelValues(result) // starts at 0, so that the first one is an increase
	}
	registry.MustRegister(m.mails)
	return m
}

// Count returns a sender that sends through sender and counts its mails.
func (m *Metrics) Count(sender Sender) Sender {
	if m == nil {
		return sender
	}
	return countingSender{sender, m}
}

// Private

const (
	mailSent          = "sent"
	mailFailed        = "failed"
	mailUndeliverable = "undeliverable"
)

type countingSender struct {
	Sender
	metrics *Metrics
}

// Send does not count a mail whose sending was cancelled, as by a worker that stops.
func (s countingSender) Send(ctx context.Context, message Message) error {
	err := s.Sender.Send(ctx, message)
	result := mailSent
	switch {
	case errors.Is(err, ErrUndeliverable):
		result = mailUndeliverable
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return err
	case err != nil:
		result = mailFailed
	}
	s.metrics.mails.WithLabelValues(result).Inc()
	return err
}
