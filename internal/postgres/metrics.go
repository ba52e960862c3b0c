package postgres

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of a pool, and of its guard where it has one.
func Metrics(pool *pgxpool.Pool, guard *Guard) prometheus.Collector {
	return &metrics{pool: pool, guard: guard}
}

// Private

type metrics struct {
	pool  *pgxpool.Pool
	guard *Guard
}

var (
	connectionsMetric = prometheus.NewDesc("app_database_connections", "Connections of the pool to PostgreSQL, by state.", []string{"state"}, nil)
	mostMetric        = prometheus.NewDesc("app_database_connections_max", "The most connections that the pool opens.", nil, nil)
	waitsMetric       = prometheus.NewDesc("app_database_waits_total", "Times that no idle connection was there at once.", nil, nil)
	waitedMetric      = prometheus.NewDesc("app_database_waits_seconds_total", "Time that was spent waiting for a connection.", nil, nil)
	waitingMetric     = prometheus.NewDesc("app_database_waiting", "Requests that wait for a connection.", nil, nil)
	refusedMetric     = prometheus.NewDesc("app_database_refused_total", "Requests that got no connection, by reason: the database was silent, too many waited, or none became free in time.", []string{"reason"}, nil)
)

func (m *metrics) Describe(descriptions chan<- *prometheus.Desc) {
	for _, description := range []*prometheus.Desc{connectionsMetric, mostMetric, waitsMetric, waitedMetric, waitingMetric, refusedMetric} {
		descriptions <- description
	}
}

func (m *metrics) Collect(figures chan<- prometheus.Metric) {
	gauge := func(description *prometheus.Desc, value float64, labels ...string) {
		figures <- prometheus.MustNewConstMetric(description, prometheus.GaugeValue, value, labels...)
	}
	counter := func(description *prometheus.Desc, value float64, labels ...string) {
		figures <- prometheus.MustNewConstMetric(description, prometheus.CounterValue, value, labels...)
	}
	stat := m.pool.Stat()
	gauge(connectionsMetric, float64(stat.AcquiredConns()), "in_use")
	gauge(connectionsMetric, float64(stat.IdleConns()), "idle")
	gauge(mostMetric, float64(stat.MaxConns()))
	counter(waitsMetric, float64(stat.EmptyAcquireCount()))
	counter(waitedMetric, stat.EmptyAcquireWaitTime().Seconds())
	if m.guard == nil {
		return
	}
	gauge(waitingMetric, float64(m.guard.waiting.Load()))
	for i, reason := range refusals {
		counter(refusedMetric, float64(m.guard.refused[i].Load()), reason)
	}
}
