package edge

import (
	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/edge/coding"
	"slipway/internal/edge/httpcache"
)

// Private

// collector exports the counts of an edge as metrics.
type collector struct {
	cache      *httpcache.Cache // nil when nothing is cached
	compressed *coding.Handler
}

var (
	cacheRequests = prometheus.NewDesc("app_edge_requests_total",
		"Requests by what the HTTP cache did: hit, miss, stale (served while it is renewed or in place of an error), bypass.",
		[]string{"result"}, nil)
	cacheEvictions = prometheus.NewDesc("app_edge_cache_evictions_total", "Addresses whose responses made room for others.", nil, nil)
	cacheKeys      = prometheus.NewDesc("app_edge_cache_keys", "Addresses with stored responses.", nil, nil)
	cacheBytes     = prometheus.NewDesc("app_edge_cache_bytes", "Size of the stored responses in bytes.", nil, nil)

	compressedResponses = prometheus.NewDesc("app_edge_compressed_responses_total",
		"Responses that were compressed while they were sent.", nil, nil)
	compressionBusy = prometheus.NewDesc("app_edge_compression_busy_total",
		"Responses sent as they are because all encoders were in use.", nil, nil)
	compressedBytes = prometheus.NewDesc("app_edge_compressed_bytes_total",
		"Bytes of the compressed responses, before (in) and after (out).", []string{"side"}, nil)
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(described chan<- *prometheus.Desc) {
	prometheus.DescribeByCollect(c, described)
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(collected chan<- prometheus.Metric) {
	count := func(about *prometheus.Desc, value float64, labels ...string) {
		collected <- prometheus.MustNewConstMetric(about, prometheus.CounterValue, value, labels...)
	}
	if c.cache != nil {
		stats := c.cache.Stats()
		count(cacheRequests, float64(stats.Hits), "hit")
		count(cacheRequests, float64(stats.Misses), "miss")
		count(cacheRequests, float64(stats.Stale), "stale")
		count(cacheRequests, float64(stats.Bypasses), "bypass")
		count(cacheEvictions, float64(stats.Evictions))
		collected <- prometheus.MustNewConstMetric(cacheKeys, prometheus.GaugeValue, float64(stats.Keys))
		collected <- prometheus.MustNewConstMetric(cacheBytes, prometheus.GaugeValue, float64(stats.Bytes))
	}
	stats := c.compressed.Stats()
	count(compressedResponses, float64(stats.Compressed))
	count(compressionBusy, float64(stats.Busy))
	count(compressedBytes, float64(stats.BytesIn), "in")
	count(compressedBytes, float64(stats.BytesOut), "out")
}
