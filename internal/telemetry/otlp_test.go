package telemetry

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestOTLP_SendsARequestAndTheJobThatItEnqueuedAsOneTrace(t *testing.T) {
	t.Parallel()

	collector := newCollector(t, http.StatusOK)
	exporter := newOTLP(t, collector.URL, http.Header{"Api-Key": {"secret"}})
	started := time.Now()
	exporter.Keep(Ended{
		Subject: Subject{ID: "request-1", Kind: RequestTrace, Name: "POST /orders"}, Started: started, Took: time.Second, Outcome: "303",
		Spans: []Span{{Kind: SQLSpan, Name: "SELECT\n\t1", After: time.Millisecond, Took: 2 * time.Millisecond}},
	})
	exporter.Keep(Ended{
		Subject: Subject{ID: "request-1", Kind: JobTrace, Name: "send_receipt", Work: "pg:7", Attempt: 1}, Started: started, Failed: true,
	})
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, exporter.Run(stopped)) // it sends the rest when it stops

	call := <-collector.calls
	require.Equal(t, "/v1/traces", call.path)
	require.Equal(t, "secret", call.header.Get("Api-Key"))
	require.Equal(t, "application/json", call.header.Get("Content-Type"))
	spans := call.body.ResourceSpans[0].ScopeSpans[0].Spans
	require.Len(t, spans, 3)
	id := TraceID("request-1")
	for _, span := range spans {
		require.Equal(t, hex.EncodeToString(id[:]), span.TraceID)
		require.Len(t, span.SpanID, 16)
	}
	request, statement, job := spans[0], spans[1], spans[2]
	require.Empty(t, request.ParentID)
	require.Equal(t, request.SpanID, statement.ParentID)
	require.Equal(t, request.SpanID, job.ParentID)
	require.Contains(t, statement.Attributes, otlpText("db.query.text", "SELECT 1"))
	require.Equal(t, otlpTime(started.Add(time.Millisecond)), statement.Start)
	require.Equal(t, otlpTime(started.Add(3*time.Millisecond)), statement.End)
	require.Equal(t, otlpError, job.Status.Code)
	require.Contains(t, call.body.ResourceSpans[0].Resource.Attributes, otlpText("service.name", "app"))
}

func TestOTLP_CountsWhatTheCollectorRefuses(t *testing.T) {
	t.Parallel()

	exporter := newOTLP(t, newCollector(t, http.StatusTooManyRequests).URL, nil)
	exporter.Keep(Ended{Subject: Subject{ID: "a"}})
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, exporter.Run(stopped))
	require.InDelta(t, 1, testutil.ToFloat64(exporter.lost.WithLabelValues(lostRefused)), 0)
}

func TestOTLP_NeverHoldsUpTheApplicationForACollectorThatHangs(t *testing.T) {
	t.Parallel()

	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // so that the server sees the client leave
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	exporter := newOTLP(t, hanging.URL, nil)
	began := time.Now()
	for range otlpQueue + 10 {
		exporter.Keep(Ended{Subject: Subject{ID: "a"}})
	}
	require.Less(t, time.Since(began), 5*time.Second)
	require.InDelta(t, 10, testutil.ToFloat64(exporter.lost.WithLabelValues(lostQueue)), 0)

	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, exporter.Run(stopped)) // within otlpLast, else the test's own limit ends it
	require.InDelta(t, otlpQueue, testutil.ToFloat64(exporter.lost.WithLabelValues(lostUnreachable)), 0)
}

func TestOTLP_RefusesAnEndpointThatIsNoAddress(t *testing.T) {
	t.Parallel()

	for _, endpoint := range []string{"", "collector:4318", "grpc://collector:4317", "http://", "http://user:pass word@x"} {
		_, err := NewOTLP(OTLPOptions{Endpoint: endpoint, Registry: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)})
		require.ErrorContains(t, err, "http://collector:4318", endpoint)
		require.NotContains(t, err.Error(), "pass word")
	}
}

func TestOTLP_FollowsNoRedirect(t *testing.T) {
	t.Parallel()

	other := newCollector(t, http.StatusOK)
	moved := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	t.Cleanup(moved.Close)
	exporter := newOTLP(t, moved.URL, http.Header{"Api-Key": {"secret"}})
	exporter.Keep(Ended{Subject: Subject{ID: "a"}})
	stopped, stop := context.WithCancel(t.Context())
	stop()
	require.NoError(t, exporter.Run(stopped))
	require.Empty(t, other.calls, "nobody else gets the header")
	require.InDelta(t, 1, testutil.ToFloat64(exporter.lost.WithLabelValues(lostRefused)), 0)
}

// Private

// collector is an OpenTelemetry collector that reads what it gets.
type collector struct {
	*httptest.Server
	calls chan collected
}

type collected struct {
	path   string
	header http.Header
	body   otlpExport
}

func newCollector(t *testing.T, status int) *collector {
	t.Helper()
	c := &collector{calls: make(chan collected, 10)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call := collected{path: r.URL.Path, header: r.Header}
		body, _ := io.ReadAll(r.Body)
		if json.Unmarshal(body, &call.body) == nil {
			c.calls <- call
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(c.Close)
	return c
}

func newOTLP(t *testing.T, endpoint string, header http.Header) *OTLP {
	t.Helper()
	exporter, err := NewOTLP(OTLPOptions{
		Endpoint: endpoint, Header: header, Service: "app", Version: "v1", Role: "web", Log: slog.New(slog.DiscardHandler),
		Registry: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	return exporter
}
