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

	NewLogger(&text, slog.LevelInfo, false, "web").Info("Serving requests", "port", 3000)
	NewLogger(&machine, slog.LevelWarn, true, "web").Info("Not shown")
	NewLogger(&machine, slog.LevelWarn, true, "web").Warn("Shown")

	require.Regexp(t, `^time=\d\d:\d\d:\d\d\.\d{3} level=INFO msg="Serving requests" port=3000\n$`, text.String())
	require.Regexp(t, `^{"time":"\S+","level":"WARN","msg":"Shown","role":"web"}\n$`, machine.String())
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
	log := NewLogger(&lines, slog.LevelInfo, true, "web")
	ctx := WithRequestID(t.Context(), "r-1")

	log.InfoContext(ctx, "Order placed", "order_id", 7)
	log.With("a", 1).InfoContext(ctx, "Request finished", "request_id", "r-1")
	log.InfoContext(WithRequestID(t.Context(), ""), "Serving requests")

	require.Regexp(t, `^{.*"order_id":7,"request_id":"r-1"}
{.*"a":1,"request_id":"r-1"}
{.*"msg":"Serving requests","role":"web"}
$`, lines.String())
}
