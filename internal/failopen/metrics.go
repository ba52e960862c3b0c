package failopen

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the metrics of all guards of a process.
type Metrics struct {
	calls    *prometheus.CounterVec
	duration *prometheus.HistogramVec
	state    *prometheus.GaugeVec
	opened   *prometheus.CounterVec

	mutex  sync.Mutex
	guards map[string]*Guard
}

// NewMetrics registers the metrics with registry.
func NewMetrics(registry prometheus.Registerer) *Metrics {
	m := &Metrics{
		guards: map[string]*Guard{},
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_redis_calls_total",
			Help: "Calls of Redis by result; with the results open, budget and bulkhead the call was not made.",
		}, []string{"redis", "source", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "app_redis_call_seconds",
			Help:    "Duration of the calls of Redis that were made.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1},
		}, []string{"redis", "source"}),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "app_redis_breaker_state",
			Help: "State of the circuit breaker of Redis: 0 when calls are made, 1 while Redis is unavailable and calls are refused.",
		}, []string{"redis"}),
		opened: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_redis_breaker_opened_total",
			Help: "How often the circuit breaker of Redis has opened.",
		}, []string{"redis"}),
	}
	registry.MustRegister(m.calls, m.duration, m.state, m.opened, guardGauges{m})
	return m
}

// Private

// outcome is the result of a call.
type outcome int

const (
	outcomeOK outcome = iota
	outcomeMiss
	outcomeTimeout
	outcomeRefused
	outcomeReset
	outcomeServer
	outcomeCancelled
	outcomeOther
	outcomeOpen
	outcomeBudget
	outcomeBulkhead
	outcomes // their number
)

var outcomeNames = [outcomes]string{
	"ok", "miss", "timeout", "refused", "reset", "server", "cancelled", "other", "open", "budget", "bulkhead",
}

// outcomeOf is the outcome of a call that failed with a class of error, see
// telemetry.Class.
func outcomeOf(class string) outcome {
	switch class {
	case "timeout", "pool":
		return outcomeTimeout
	case "refused", "dns":
		return outcomeRefused
	case "reset":
		return outcomeReset
	case "other", "panic", "protocol":
		return outcomeOther
	default:
		return outcomeServer // Redis has replied with an error
	}
}

// guardMetrics are the metrics of one guard. The metrics of a source are looked
// up once, because a guarded call must cost next to nothing.
type guardMetrics struct {
	all     *Metrics
	name    string
	state   prometheus.Gauge
	opened  prometheus.Counter
	sources atomic.Pointer[map[string]*sourceMetrics]
	adding  sync.Mutex
}

type sourceMetrics struct {
	calls    [outcomes]prometheus.Counter
	duration prometheus.Observer
}

// guardGauges shows how many connections and calls each guard has now.
type guardGauges struct{ *Metrics }

var (
	connectionsMetric = prometheus.NewDesc("app_redis_connections",
		"Open connections to Redis of this process, except those that fetch tasks and events.", []string{"redis"}, nil)
	inFlightMetric = prometheus.NewDesc("app_redis_calls_in_flight", "Calls of Redis in progress.", []string{"redis"}, nil)
	maxMetric      = prometheus.NewDesc("app_redis_calls_in_flight_max",
		"Largest number of calls of Redis in progress; further ones have the result bulkhead.", []string{"redis"}, nil)
)

// Describe implements prometheus.Collector.
func (g guardGauges) Describe(described chan<- *prometheus.Desc) {
	described <- connectionsMetric
	described <- inFlightMetric
	described <- maxMetric
}

// Collect implements prometheus.Collector.
func (g guardGauges) Collect(collected chan<- prometheus.Metric) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	for name, guard := range g.guards {
		for about, value := range map[*prometheus.Desc]int{
			connectionsMetric: guard.options.connections.count(), inFlightMetric: len(guard.inFlight), maxMetric: cap(guard.inFlight),
		} {
			collected <- prometheus.MustNewConstMetric(about, prometheus.GaugeValue, float64(value), name)
		}
	}
}

func (m *Metrics) ofGuard(guard *Guard) *guardMetrics {
	name := guard.options.Name
	m.mutex.Lock()
	m.guards[name] = guard
	m.mutex.Unlock()
	g := &guardMetrics{all: m, name: name, state: m.state.WithLabelValues(name), opened: m.opened.WithLabelValues(name)}
	g.sources.Store(&map[string]*sourceMetrics{})
	return g
}

func (g *guardMetrics) ofSource(source string) *sourceMetrics {
	if known, is := (*g.sources.Load())[source]; is {
		return known
	}
	g.adding.Lock()
	defer g.adding.Unlock()
	added := maps.Clone(*g.sources.Load())
	if known, is := added[source]; is {
		return known
	}
	fresh := &sourceMetrics{duration: g.all.duration.WithLabelValues(g.name, source)}
	for i, name := range outcomeNames {
		fresh.calls[i] = g.all.calls.WithLabelValues(g.name, source, name)
	}
	added[source] = fresh
	g.sources.Store(&added)
	return fresh
}

func (s *sourceMetrics) count(o outcome) { s.calls[o].Inc() }

func (s *sourceMetrics) observe(took time.Duration) { s.duration.Observe(took.Seconds()) }
