package throttle

import (
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Private

// Who decided, and the results that are no refusals of a Decision.
const (
	storeRedis       = "redis"
	storeLocal       = "local"
	resultSafelisted = "safelisted"
	resultTracked    = "tracked"
)

type metrics struct {
	decisions *prometheus.CounterVec
	known     sync.Map // decisionLabels to prometheus.Counter: a look-up without an allocation
}

type decisionLabels struct{ rule, store, result string }

func newMetrics(registry prometheus.Registerer, bans func() int) *metrics {
	m := &metrics{decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "app_throttle_decisions_total",
		Help: "Decisions of each rule about requests, and whether Redis or the process's own memory made them.",
	}, []string{"rule", "store", "result"})}
	registry.MustRegister(m.decisions, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "app_throttle_bans",
		Help: "Bans in force that this process knows of.",
	}, func() float64 { return float64(bans()) }))
	return m
}

func (m *metrics) count(rule, store, result string) {
	labels := decisionLabels{rule, store, result}
	counter, ok := m.known.Load(labels)
	if !ok {
		counter, _ = m.known.LoadOrStore(labels, m.decisions.WithLabelValues(rule, store, result))
	}
	counter.(prometheus.Counter).Inc()
}

// shortened is a key for the log, without the part of an address that points
// to one person.
func shortened(key string) string {
	if address, err := netip.ParseAddr(key); err == nil && address.Is4() {
		network, _ := address.Prefix(24)
		return network.String()
	}
	if network, err := netip.ParsePrefix(key); err == nil {
		network, _ = network.Addr().Prefix(48)
		return network.String()
	}
	if address, err := netip.ParseAddr(key); err == nil {
		network, _ := address.Prefix(48)
		return network.String()
	}
	if key == "unknown" {
		return key
	}
	return hash(key)
}
