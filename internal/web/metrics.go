package web

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Private

// requestMetrics count requests. A client cannot make series: route is a pattern, method
// one of the known ones, and status comes from the application.
type requestMetrics struct {
	duration  *prometheus.HistogramVec
	inFlight  prometheus.Gauge
	responses *prometheus.CounterVec
	stale     *prometheus.CounterVec
}

func newRequestMetrics(registry prometheus.Registerer) *requestMetrics {
	m := &requestMetrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "app_http_request_duration_seconds",
			Help: "Duration of HTTP requests, by method, route and class of status (2xx to 5xx), with those that the edge serves " +
				"from its cache. An event stream counts until it has begun.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method", "route", "status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "app_http_requests_in_flight",
			Help: "HTTP requests in progress, event streams included.",
		}),
		responses: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_http_responses_total",
			Help: "HTTP responses by their exact status.",
		}, []string{"code"}),
		stale: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_http_stale_total",
			Help: "Stored pages that were served although they were not fresh, by route.",
		}, []string{"route"}),
	}
	registry.MustRegister(m.duration, m.inFlight, m.responses, m.stale)
	return m
}

// count adds a request. Its method may be anything that a client sends.
func (m *requestMetrics) count(method, route string, status int, took time.Duration) {
	m.duration.WithLabelValues(methodLabel(method), route, statusClass(status)).Observe(took.Seconds())
	m.responses.WithLabelValues(codeLabel(status)).Inc()
}

// methodLabel returns OTHER for a method that HTTP does not define.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodOptions, http.MethodConnect, http.MethodTrace:
		return method
	}
	return "OTHER"
}

// statusClass is the class of a status, such as 5xx.
func statusClass(status int) string {
	switch status / 100 {
	case 1:
		return "1xx"
	case 2:
		return "2xx"
	case 3:
		return "3xx"
	case 4:
		return "4xx"
	case 5:
		return "5xx"
	}
	return "other"
}

// codeLabel is a status that HTTP defines, or other.
func codeLabel(status int) string {
	if http.StatusText(status) == "" {
		return "other"
	}
	return strconv.Itoa(status)
}
