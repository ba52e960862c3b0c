package telemetry

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewLogger_WritesTextOrJSON(t *testing.T) {
	t.Parallel()
	var text, machine bytes.Buffer

	NewLogger(&text, LogOptions{Role: "web", Version: "v1"}).Info("Serving requests", "port", 3000)
	NewLogger(&machine, LogOptions{Level: slog.LevelWarn, JSON: true, Role: "web", Version: "v1"}).Info("Not shown")
	NewLogger(&machine, LogOptions{Level: slog.LevelWarn, JSON: true, Role: "web", Version: "v1"}).Warn("Shown")

	require.Regexp(t, `^time=\d\d:\d\d:\d\d\.\d{3} level=INFO msg="Serving requests" port=3000\n$`, text.String())
	require.Regexp(t, `^{"time":"\S+","level":"WARN","msg":"Shown","role":"web","version":"v1"}\n$`, machine.String())
}

func TestNewRegistry_CollectsRuntimeAndProcessMetrics(t *testing.T) {
	t.Parallel()

	families, err := NewRegistry().Gather()

	require.NoError(t, err)
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
	}
	require.Subset(t, names, []string{"go_goroutines", "process_open_fds"})
}

func TestNewLogger_NamesTheRequestOnceInEachLine(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	log := NewLogger(&lines, LogOptions{JSON: true, Role: "web"})
	ctx := WithRequestID(t.Context(), "r-1")

	log.InfoContext(ctx, "Order placed", "order_id", 7)
	log.With("a", 1).InfoContext(ctx, "Request finished", "request_id", "r-1")
	log.InfoContext(WithRequestID(t.Context(), ""), "Serving requests")

	require.Regexp(t, `^{.*"order_id":7,"request_id":"r-1"}
{.*"a":1,"request_id":"r-1"}
{.*"msg":"Serving requests","role":"web"}
$`, lines.String())
}

func TestNewLogger_NamesTheTraceWhereTracesAreExported(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	log := NewLogger(&lines, LogOptions{JSON: true, Role: "web", TraceIDs: true})

	log.InfoContext(WithRequestID(t.Context(), "r-1"), "Order placed")
	log.Info("Request finished", "request_id", "r-1")
	log.Info("Serving requests")

	require.Regexp(t, `^{.*"request_id":"r-1","trace_id":"a5fa777a.{24}"}
{.*"request_id":"r-1","trace_id":"a5fa777a.{24}"}
{.*"msg":"Serving requests","role":"web"}
$`, lines.String())
}
