package edge

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestEdge_TheStartOfARequestIsCredible(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_800_000_000_000)
	queue := newQueueTime(prometheus.NewRegistry())
	for given, expected := range map[string]string{
		"t=1799999999000":    "t=1799999999000", // kamal-proxy
		"1799999999000":      "t=1799999999000", // Heroku
		"t=1799999999.250":   "t=1799999999250", // nginx
		"t=1799999999000123": "t=1799999999000", // Apache
		"t=1800000003000":    "t=1800000000000", // a clock that is fast
		"t=1":                "t=1799999400000", // ten minutes are the most
		"t=1600000000000":    "t=1799999400000",
		"":                   "",
		"t=":                 "",
		"t=-5":               "",
		"t=0":                "",
		"t=NaN":              "",
		"t=Inf":              "",
		"t=1e300":            "",
		"yesterday":          "",
		"t=1799999999000;":   "",
	} {
		header := http.Header{RequestStart: {given, "t=1"}}

		queue.measure(header, now)

		require.Equal(t, expected, header.Get(RequestStart), given)
		require.LessOrEqual(t, len(header[RequestStart]), 1)
	}
}

func TestEdge_MeasuresTheQueueOfAProxy(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	seen := make(chan string, 10)
	address, _ := serve(t, Options{Registry: registry}, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Header.Get(RequestStart)
	}))
	start := time.Now().Add(-time.Minute).UnixMilli()

	get(t, address)
	require.Empty(t, <-seen)
	get(t, address, RequestStart, fmt.Sprintf("t=%d", start))
	require.Equal(t, fmt.Sprintf("t=%d", start), <-seen)
	get(t, address, RequestStart, "soon")
	require.Empty(t, <-seen)

	families, err := registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		if family.GetName() == "app_http_queue_seconds" {
			histogram := family.GetMetric()[0].GetHistogram()
			require.EqualValues(t, 1, histogram.GetSampleCount())
			require.GreaterOrEqual(t, histogram.GetSampleSum(), 60.0)
			return
		}
	}
	require.Fail(t, "there is no such metric")
}
