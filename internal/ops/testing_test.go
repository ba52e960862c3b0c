package ops

import (
	"io/fs"
	"log/slog"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"slipway/internal/telemetry"
)

// Private

// migrations change nothing: these tests use the runtime's own tables.
var migrations fs.FS = fstest.MapFS{"00001_nothing.sql": {Data: []byte("-- +goose Up\nSELECT 1;\n")}}

// recorded is a recorder with what feeds it.
type recorded struct {
	*Recorder
	registry *prometheus.Registry
	reporter *telemetry.Reporter
	requests *prometheus.HistogramVec
}

func newRecorder(t *testing.T, role string) recorded {
	t.Helper()
	registry, log := prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
	r := recorded{registry: registry, reporter: telemetry.NewReporter(log, registry)}
	r.Recorder = NewRecorder(RecorderOptions{Role: role, Version: "v1", Secret: "salt", Log: log, Registry: registry})
	r.reporter.CopyTo(r.Alert)
	r.requests = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "app_http_request_duration_seconds", Help: "Requests.", Buckets: []float64{.01, .1, 1},
	}, []string{"method", "route", "status"})
	registry.MustRegister(r.requests)
	return r
}

func (r recorded) serve(times int, route, status string, took time.Duration) {
	for range times {
		r.requests.WithLabelValues("GET", route, status).Observe(took.Seconds())
	}
}

func (r recorded) flush(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	r.pulse.written = time.Time{} // as when it stops, so that the longer steps are written too
	require.NoError(t, r.Flush(t.Context(), db))
}

func execute(t *testing.T, db *pgxpool.Pool, statement string) {
	t.Helper()
	_, err := db.Exec(t.Context(), statement)
	require.NoError(t, err)
}

func count(t *testing.T, db *pgxpool.Pool, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRow(t.Context(), query).Scan(&n))
	return n
}
