package mail

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
)

func TestMetrics_CountMailsByResult(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	metrics := NewMetrics(registry)
	works := metrics.Count(newDirectory(t))
	server, err := NewSMTP("smtp://127.0.0.1:1", "post@app.example", newReporter())
	require.NoError(t, err)
	away := metrics.Count(server)
	stopping, stop := context.WithCancel(t.Context())
	stop()
	letter := Message{To: "ada@example.com", Subject: "Hello", Text: "x"}

	require.NoError(t, works.Send(t.Context(), letter))
	require.NoError(t, works.Send(t.Context(), letter))
	require.ErrorIs(t, works.Send(t.Context(), Message{To: "nobody", Subject: "Hello", Text: "x"}), ErrUndeliverable)
	require.Error(t, away.Send(t.Context(), letter))
	require.Error(t, away.Send(stopping, letter))

	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
		# HELP app_mails_total Attempts to send a mail: sent, failed (it is sent later), or undeliverable (never).
		# TYPE app_mails_total counter
		app_mails_total{result="failed"} 1
		app_mails_total{result="sent"} 2
		app_mails_total{result="undeliverable"} 1
	`)))
}
