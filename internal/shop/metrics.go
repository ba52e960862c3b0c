package shop

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	orders  prometheus.Counter
	refused *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		orders: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "shop_orders_total",
			Help: "Orders that were placed.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "shop_orders_refused_total",
			Help: "Orders that were not placed, by reason.",
		}, []string{"reason"}),
	}
	registry.MustRegister(m.orders, m.refused)
	return m
}
