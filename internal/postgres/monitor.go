package postgres

import (
	"context"
	"errors"
	"time"

	"slipway/internal/telemetry"
)

// What Monitor.Check can find besides ErrSchemaOld and a database that cannot be
// reached.
var (
	// ErrReadOnlyShortly is ErrReadOnly during the time that a failover may take.
	ErrReadOnlyShortly = errors.New("the database has just stopped taking writes")
	ErrDiskFull        = errors.New("the disk of the database is full")
)

// Monitor probes the database for /health. It passes what it finds on to the
// guard of the pool and to the reporter. It is for one caller at a time.
type Monitor struct {
	probe         *Probe
	guard         *Guard // nil: the process has none
	reporter      *telemetry.Reporter
	readOnlySince time.Time // zero: the database takes writes
}

// NewMonitor makes a monitor. The guard may be nil.
func NewMonitor(probe *Probe, guard *Guard, reporter *telemetry.Reporter) *Monitor {
	return &Monitor{probe: probe, guard: guard, reporter: reporter}
}

// Check probes the database once. It returns ErrSchemaOld, ErrReadOnlyShortly,
// ErrReadOnly, ErrDiskFull, the error of a database that cannot be reached, or
// nil.
func (m *Monitor) Check(ctx context.Context) error {
	began := time.Now()
	err := m.probe.Check(ctx)
	if m.guard != nil {
		m.guard.Observe(began, err)
	}
	if !errors.Is(err, ErrSchemaOld) {
		m.reporter.Report(telemetry.PG, "Probe.Check", err)
	}
	if !errors.Is(err, ErrReadOnly) {
		m.readOnlySince = time.Time{}
		if err == nil && m.guard != nil && m.guard.DiskFull() {
			return ErrDiskFull
		}
		return err
	}
	if m.readOnlySince.IsZero() {
		m.readOnlySince = began
	}
	if time.Since(m.readOnlySince) < failoverTime {
		return ErrReadOnlyShortly
	}
	return err
}

// Private

// failoverTime is how long the database may take no writes before the check
// fails.
const failoverTime = 5 * time.Second
