package web

import (
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Private

// requestMetrics count requests. A client cannot make series: route is a pattern, method
// one of the known ones, and status comes from the application.
type requestMetrics struct {
	duration     *prometheus.HistogramVec
	inFlight     prometheus.Gauge
	responses    *prometheus.CounterVec
	requestSize  *prometheus.HistogramVec
	responseSize *prometheus.HistogramVec
	stale        *prometheus.CounterVec
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
		requestSize: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "app_http_request_size_bytes",
			Help:    "Size of the bodies of HTTP requests, as far as they were read. Requests without a body are not counted.",
			Buckets: sizes,
		}, []string{"route"}),
		responseSize: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "app_http_response_size_bytes",
			Help: "Size of the bodies of HTTP responses: before compression, or, for those that the edge serves from its cache, as they are sent. " +
				"An event stream counts at its end.",
			Buckets: sizes,
		}, []string{"route"}),
		stale: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_http_stale_total",
			Help: "Stored pages that were served although they were not fresh, by route.",
		}, []string{"route"}),
	}
	registry.MustRegister(m.duration, m.inFlight, m.responses, m.requestSize, m.responseSize, m.stale)
	return m
}

// count adds a request. Its method may be anything that a client sends.
func (m *requestMetrics) count(method, route string, status int, took time.Duration) {
	m.duration.WithLabelValues(methodLabel(method), route, statusClass(status)).Observe(took.Seconds())
	m.responses.WithLabelValues(codeLabel(status)).Inc()
}

// countBytes adds the sizes of the bodies of a request and its response.
func (m *requestMetrics) countBytes(route string, body *countedBody, sent int64) {
	if body != nil {
		m.requestSize.WithLabelValues(route).Observe(float64(body.read.Load()))
	}
	m.responseSize.WithLabelValues(route).Observe(float64(sent))
}

// sizes are the buckets of sizes in bytes.
var sizes = []float64{256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20}

// countedBody counts what is read of the body of a request. A client may claim any length.
type countedBody struct {
	io.ReadCloser
	read atomic.Int64
}

// countBody makes the body of a request count. It returns nil when there is none.
func countBody(r *http.Request) *countedBody {
	if !hasBody(r) {
		return nil
	}
	counted := &countedBody{ReadCloser: r.Body}
	r.Body = counted
	return counted
}

func (b *countedBody) Read(buffer []byte) (int, error) {
	n, err := b.ReadCloser.Read(buffer)
	b.read.Add(int64(n))
	return n, err
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
