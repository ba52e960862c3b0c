package throttle

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Private

// Values of the labels store and result, besides the results of a Decision.
const (
	backendRedis     = "redis"
	backendLocal     = "local"
	resultSafelisted = "safelisted"
	resultTracked    = "tracked"
)

type metrics struct {
	decisions *prometheus.CounterVec
	known     sync.Map // decisionLabels to prometheus.Counter: a lookup without an allocation
}

type decisionLabels struct{ rule, backend, result string }

func newMetrics(registry prometheus.Registerer, bans func() int) *metrics {
	m := &metrics{decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_throttle_decisions_total",
		Help: "Decisions of each rule about requests, by result and by the store that decided: redis, or local for the memory of the process.",
	}, []string{"rule", "store", "result"})}
	registry.MustRegister(m.decisions, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "app_throttle_bans",
		Help: "Bans in force that are known to this process.",
	}, func() float64 { return float64(bans()) }))
	return m
}

func (m *metrics) count(rule, backend, result string) {
	labels := decisionLabels{rule, backend, result}
	counter, ok := m.known.Load(labels)
	if !ok {
		counter, _ = m.known.LoadOrStore(labels, m.decisions.WithLabelValues(rule, backend, result))
	}
	counter.(prometheus.Counter).Inc()
}
