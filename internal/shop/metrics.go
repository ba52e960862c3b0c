package shop

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	orders  prometheus.Counter
	refused *prometheus.CounterVec
	revenue *prometheus.CounterVec
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
			Help: "Orders that were refused, by reason.",
		}, []string{"reason"}),
	}
	m.revenue = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shop_revenue_minor_units_total",
		Help: "Money that was captured for orders, in the smallest unit of the currency, such as cents.",
	}, []string{"currency"})
	m.revenue.WithLabelValues(string(EUR)) // starts at 0, so that the first order is an increase
	m.claims = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shop_sale_claims_total",
		Help: "Claims on units of flash sales, by result; turned_away were refused by Redis alone.",
	}, []string{"result"})
	m.lapsed = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "shop_sale_holds_lapsed_total",
		Help: "Units of flash sales whose hold in a cart has expired.",
	})
	m.discrepancies = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "shop_stock_discrepancies_total",
		Help: "Discrepancies between flash sales, carts and orders, by broken rule. Each run of reconcile_stock counts all that it finds.",
	}, []string{"rule"})
	for _, rule := range stockRules {
		m.discrepancies.WithLabelValues(string(rule)) // starts at 0, so that the first one is an increase
	}
	registry.MustRegister(m.orders, m.refused, m.revenue, m.claims, m.lapsed, m.discrepancies)
	return m
}
