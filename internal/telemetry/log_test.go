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
