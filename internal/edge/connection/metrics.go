package connection

import "github.com/prometheus/client_golang/prometheus"

// Private

// Reasons beside those of outcome for which a connection is closed.
const (
	slowHeader = "slow_header"
	slowBody   = "slow_body"
	slowReader = "slow_reader"
)

type metrics struct {
	closed *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer, room *room) *metrics {
	m := &metrics{closed: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_http_connections_closed_total",
		Help: "Connections that a limit has closed: no_room and client_no_room are new ones, made_room and client_made_room " +
			"waited for a request the longest, slow_header, slow_body and slow_reader are those of slow clients.",
	}, []string{"reason"})}
	for reason := madeRoom; reason <= clientNoRoom; reason++ {
		m.closed.WithLabelValues(reason.String())
	}
	for _, reason := range []string{slowHeader, slowBody, slowReader} {
		m.closed.WithLabelValues(reason)
	}
	if registry == nil {
		return m
	}
	registry.MustRegister(m.closed, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "app_http_connections",
		Help: "Connections of clients that are open, those that wait for a request included.",
	}, func() float64 { return float64(room.open()) }))
	return m
}
