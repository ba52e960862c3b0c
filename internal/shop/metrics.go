package shop

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	orders  prometheus.Counter
	refused *prometheus.CounterVec
	claims  *prometheus.CounterVec
	lapsed  prometheus.Counter

	discrepancies *prometheus.CounterVec
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
	m.claims = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shop_sale_claims_total",
		Help: "Claims on units of flash sales, by result; turned_away is what Redis refused alone.",
	}, []string{"result"})
	m.lapsed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shop_sale_holds_lapsed_total",
		Help: "Units of flash sales that went back because their time in a cart was over.",
	})
	m.discrepancies = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shop_stock_discrepancies_total",
		Help: "Cases in which flash sales, carts and orders do not add up, by the rule that is broken. Each run of reconcile_stock counts those that are still there.",
	}, []string{"rule"})
	for _, rule := range stockRules {
		m.discrepancies.WithLabelValues(string(rule)) // from 0, so that the first is seen as an increase
	}
	registry.MustRegister(m.orders, m.refused, m.claims, m.lapsed, m.discrepancies)
	return m
}
