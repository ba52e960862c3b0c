package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"slipway/internal/telemetry"
)

// Errors of Monitor.Check, besides ErrReadOnly, ErrSchemaOld and errors of the
// connection.
var (
	// ErrReadOnlyRecently stands for ErrReadOnly in its first five seconds, which a
	// failover may take.
	ErrReadOnlyRecently = errors.New("the database became read-only recently")
	ErrDiskFull         = errors.New("the disk of the database is full")
)

// Monitor probes the database for /health, and passes each result to the pool's
// guard and to the reporter. It is for one caller at a time.
type Monitor struct {
	probe         *Probe
	guard         *Guard // may be nil
	reporter      *telemetry.Reporter
	schema        *telemetry.LoopLog
	readOnlySince time.Time // zero while the database accepts writes
}

// NewMonitor returns a monitor. The guard may be nil: then Check cannot return
// ErrDiskFull. It logs that the schema is old to log, and everything else through
// the reporter.
func NewMonitor(probe *Probe, guard *Guard, reporter *telemetry.Reporter, log *slog.Logger) *Monitor {
	schema := telemetry.NewLoopLog(log, "Program waits for a migration", "Schema of the database is new enough")
	return &Monitor{probe: probe, guard: guard, reporter: reporter, schema: schema}
}

// Check probes the database once. It returns nil, ErrReadOnlyRecently,
// ErrReadOnly, ErrSchemaOld, ErrDiskFull, or the error of a database that is
// unreachable or refuses this program.
func (m *Monitor) Check(ctx context.Context) error {
	began := time.Now()
	err := m.probe.Check(ctx)
	if m.guard != nil {
		m.guard.Observe(began, err)
	}
	if reason := Refusal(err); reason != "" {
		err = fmt.Errorf("%s: %w", reason, err)
	}
	var old *schemaOldError
	switch {
	case errors.As(err, &old): // the database works, and a migration is due
		m.schema.Failed(ctx, err, "database_has", old.found.String(), "program_needs", old.needed.String())
	case err == nil:
		m.schema.Worked(ctx)
	default:
		m.reporter.Report(telemetry.PG, "Probe.Check", err)
	}
	if errors.Is(err, ErrReadOnly) {
		return m.readOnly(began, err)
	}
	m.readOnlySince = time.Time{}
	if err == nil && m.guard != nil && m.guard.DiskFull() {
		return ErrDiskFull
	}
	return err
}

// Private

// failoverTime is the time that a failover may take.
const failoverTime = 5 * time.Second

// readOnly records that a probe which started at began found the database
// read-only, and returns err or ErrReadOnlyRecently.
func (m *Monitor) readOnly(began time.Time, err error) error {
	if m.readOnlySince.IsZero() {
		m.readOnlySince = began
	}
	if time.Since(m.readOnlySince) < failoverTime {
		return ErrReadOnlyRecently
	}
	return err
}
