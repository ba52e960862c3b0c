package edge

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// RequestStart is the header with the time at which a proxy got the request. The
// application finds it as "t=" and milliseconds since 1970, or not at all.
const RequestStart = "X-Request-Start"

// Private

// longestQueue bounds what a client can claim: proxies keep the field of a client.
const longestQueue = 10 * time.Minute

// queueTime measures how long requests wait between a proxy and the edge.
type queueTime struct{ seconds prometheus.Histogram }

func newQueueTime(registry prometheus.Registerer) queueTime {
	q := queueTime{prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "app_http_queue_seconds",
		Help:    "Time from X-Request-Start, which a proxy sets, to the arrival of the request, that of its upload to the proxy included.",
		Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60},
	})}
	registry.MustRegister(q.seconds)
	return q
}

// measure also corrects the field. A time in the future, as of a clock that is a
// little fast, is now.
func (q queueTime) measure(header http.Header, now time.Time) {
	start, ok := parseStart(header.Get(RequestStart))
	if !ok {
		delete(header, RequestStart)
		return
	}
	waited := min(max(now.Sub(start), 0), longestQueue)
	q.seconds.Observe(waited.Seconds())
	header[RequestStart] = []string{"t=" + strconv.FormatInt(now.Add(-waited).UnixMilli(), 10)}
}

// parseStart reads a time since 1970 with or without "t=". Proxies write it in seconds,
// milliseconds or microseconds. Its size tells which: for thousands of years to come,
// they are apart.
func parseStart(value string) (time.Time, bool) {
	number, err := strconv.ParseFloat(strings.TrimPrefix(value, "t="), 64)
	switch {
	case err != nil || !(number > 0): // also what is not a number
		return time.Time{}, false
	case number < 1e11:
		return time.UnixMilli(int64(number * 1e3)), true
	case number < 1e14:
		return time.UnixMilli(int64(number)), true
	case number < 1e17:
		return time.UnixMicro(int64(number)), true
	}
	return time.Time{}, false
}
