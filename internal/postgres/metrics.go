package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// RegisterMetrics registers the metrics of a pool. Name is their label pool, which tells the
// pools of a process apart. The guard's metrics are included unless guard is nil.
func RegisterMetrics(registry prometheus.Registerer, name string, pool *pgxpool.Pool, guard *Guard) {
	prometheus.WrapRegistererWith(prometheus.Labels{"pool": name}, registry).MustRegister(&metrics{pool: pool, guard: guard})
}

// Private

type metrics struct {
	pool  *pgxpool.Pool
	guard *Guard
}

var (
	connectionsMetric = describe("app_database_connections", "Connections in the pool, by state.", "state")
	maxMetric         = describe("app_database_connections_max", "Maximum number of connections in the pool.")
	acquiresMetric    = describe("app_database_acquires_total", "Connections taken from the pool, one for each transaction.")
	waitsMetric       = describe("app_database_waits_total", "Requests for a connection that found none idle.")
	waitSecondsMetric = describe("app_database_waits_seconds_total", "Seconds spent waiting for a connection.")
	waitingMetric     = describe("app_database_waiting", "Requests that are waiting for a connection.")
	refusedMetric     = describe("app_database_refused_total", "Requests that got no connection, by reason: "+
		"silent (the database does not reply), crowded (too many are waiting), none_free (none became free in time) "+
		"or uncommitted (a statement that writes, while commits hang).", "reason")
)

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

func (m *metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range []*prometheus.Desc{
		connectionsMetric, maxMetric, acquiresMetric, waitsMetric, waitSecondsMetric, waitingMetric, refusedMetric,
	} {
		descriptions <- description
	}
}

func (m *metrics) Collect(values chan<- prometheus.Metric) {
	gauge := func(description *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, labels...)
	}
	counter := func(description *prometheus.Desc, value float64, labels ...string) {
		values <- prometheus.MustNewConstMetric(description, prometheus.CounterValue, value, labels...)
	}
	stat := m.pool.Stat()
	gauge(connectionsMetric, float64(stat.AcquiredConns()), "in_use")
	gauge(connectionsMetric, float64(stat.IdleConns()), "idle")
	gauge(maxMetric, float64(stat.MaxConns()))
	counter(acquiresMetric, float64(stat.AcquireCount()))
	counter(waitsMetric, float64(stat.EmptyAcquireCount()))
	counter(waitSecondsMetric, stat.EmptyAcquireWaitTime().Seconds())
	if m.guard == nil {
		return
	}
	gauge(waitingMetric, float64(m.guard.waiting.Load()))
	for i, reason := range refusals {
		counter(refusedMetric, float64(m.guard.refused[i].Load()), reason)
	}
}
