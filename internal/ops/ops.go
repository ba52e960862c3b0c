// Package ops records what the application does, in the background and in PostgreSQL:
// figures by time (the pulse), errors grouped by their cause, and traces of what
// failed, was slow or is in a sample. Pages read them, and operators get mail about
// what is new. It is the first that is given up when the database is ill.
package ops

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"slipway/internal/telemetry"
)

const (
	// Kept is how long figures and resolved errors are kept.
	Kept = 7 * 24 * time.Hour
	// MostTraces bounds the kept traces of all processes. The oldest go first.
	MostTraces = 10_000
	// MostTracesOfName bounds those of one route or kind of work, so that a busy one
	// leaves room for the others.
	MostTracesOfName = 500
	// MostErrors bounds the groups of errors. Those seen least recently go first.
	MostErrors = 1_000
)

// Recorder collects in memory what this process does, and writes it to the database in
// the background. All methods may be called by several goroutines, and none but Run
// waits for the database.
type Recorder struct {
	options RecorderOptions
	process string
	started time.Time
	writes  *telemetry.LoopLog
	dropped *prometheus.CounterVec

	// These are of the goroutine that writes.
	pulse        *pulse
	ended        []storedStep // that are not written yet
	databaseTime time.Time    // the last reply of the database, at askedAt
	askedAt      time.Time
	prunedAt     time.Time
	unpruned     int // traces that were stored since

	statements *statements
	clients    *clients

	mutex  sync.Mutex
	traces []telemetry.Ended     // that are not written yet
	errors map[string]*newErrors // that are not written yet, by fingerprint
}

// RecorderOptions configure a recorder. All fields but Secret are required.
type RecorderOptions struct {
	Role     string
	Version  string // of this build
	Secret   string // hides the addresses of clients; without it, another process hides them differently
	Log      *slog.Logger
	Registry *prometheus.Registry // whose metrics are recorded
}

// NewRecorder returns a recorder. Call its Run to write what it collects.
func NewRecorder(options RecorderOptions) *Recorder {
	if options.Secret == "" {
		options.Secret = fmt.Sprint(rand.Uint64(), rand.Uint64())
	}
	r := &Recorder{
		options: options, process: newProcessName(), started: time.Now(),
		writes: telemetry.NewLoopLog(options.Log, "Pulse was not written", "Pulse is written again"),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "app_ops_dropped_total",
			Help: "What is missing at /ops because there was too much of it or the database was unavailable: errors, figures (minutes) or traces.",
		}, []string{"what"}),
		pulse: newPulse(), statements: newStatements(), clients: newClients(),
		errors: map[string]*newErrors{},
	}
	options.Registry.MustRegister(r.dropped)
	for _, what := range []string{droppedErrors, droppedFigures, droppedTraces} {
		r.dropped.WithLabelValues(what)
	}
	return r
}

// Private

// Values of the label what.
const (
	droppedErrors  = "errors"
	droppedFigures = "figures"
	droppedTraces  = "traces"
)

// newProcessName is different for each process, also for two with one process id in
// two containers.
func newProcessName() string {
	host, _ := os.Hostname() // empty when unknown
	return fmt.Sprintf("%s/%d/%04x", host, os.Getpid(), rand.Uint32N(1<<16))
}

// hashOf hides a text. It stays the same for a day, so that an operator can tell
// clients apart and nobody can follow one for longer.
func hashOf(secret, text string, now time.Time) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(now.UTC().Format(time.DateOnly) + "\x00" + text))
	return hex.EncodeToString(mac.Sum(nil)[:5])
}
