package history

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

func newRecorder(t *testing.T, db *pgxpool.Pool) *Recorder {
	t.Helper()
	return NewRecorder(RecorderOptions{
		DB: db, Version: "v1", Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
}

// ran is a run that ends now.
func ran(kind, result string, took time.Duration) Run {
	return Run{Backend: telemetry.PG, Queue: "default", Kind: kind, Result: result, Ended: time.Now(), Took: took, Waited: -1}
}

func execute(t *testing.T, db *pgxpool.Pool, statement string, arguments ...any) {
	t.Helper()
	_, err := db.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

func count(t *testing.T, db *pgxpool.Pool, query string, arguments ...any) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRow(t.Context(), query, arguments...).Scan(&n))
	return n
}
