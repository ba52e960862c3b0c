package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// ErrDeclaredDead ends a worker whose heartbeat was missing for so long that
// other workers may have taken its work.
var ErrDeclaredDead = errors.New("this worker's heartbeat was missing for too long and other workers may have taken its work")

// DeadAfter is the age of the last heartbeat from which a worker is dead.
const DeadAfter = 20 * time.Second

// Private

const (
	// beatEvery is the interval of a worker's heartbeat.
	beatEvery = 5 * time.Second
	deadAfter = DeadAfter
	// runAgainWithin is how soon other workers run the jobs of a dead worker again: they
	// release them at the first heartbeat of their own after deadAfter.
	runAgainWithin = deadAfter + beatEvery
	// signOffTimeout bounds the last statement of a worker that stops.
	signOffTimeout = time.Second
)

// heartbeat writes the worker's row in the table of processes, and releases the
// jobs of dead workers. Solid Queue does the same; River's own rescue waits for
// the longest timeout. The heartbeat has a connection of its own, so that a
// worker whose jobs use the whole pool does not count as dead.
type heartbeat struct {
	connection *postgres.Connection
	process    Process
	state      atomic.Value // State
	running    func() int   // jobs or tasks that run
	keepRow    atomic.Bool  // the worker could not release its jobs, so another worker must find its row
	releaser   *releaser
	log        *slog.Logger
	beats      *telemetry.LoopLog
	releases   *telemetry.LoopLog
	claims     *telemetry.LoopLog
	every      time.Duration // beatEvery
	deadAfter  time.Duration // deadAfter

	// steadySince is when heartbeats began to arrive without a gap. A worker that
	// was cut off from the database must not declare other workers dead: they were
	// cut off too.
	steadySince time.Time

	// beatenAt is when the database confirmed the last heartbeat, by this machine's
	// clock. Only the difference between two heartbeats matters, so clocks need not
	// agree.
	beatenAt time.Time

	prunedAt time.Time // when old claims of unique jobs were last deleted
}

func newHeartbeat(db *pgxpool.Pool, process Process, running func() int, log *slog.Logger, reporter *telemetry.Reporter) *heartbeat {
	h := &heartbeat{
		connection: postgres.NewConnection(db), process: process, running: running,
		releaser: &releaser{db: db, log: log, reporter: reporter}, log: log, every: beatEvery, deadAfter: deadAfter,
		beats:    telemetry.NewLoopLog(log, "Heartbeat was not written", "Heartbeats are written again"),
		releases: telemetry.NewLoopLog(log, "Jobs of dead workers were not released", "Jobs of dead workers are released again"),
		claims:   telemetry.NewLoopLog(log, "Old claims of unique jobs were not deleted", "Old claims of unique jobs are deleted again"),
	}
	h.state.Store(Working)
	return h
}

// run writes heartbeats until ctx ends, and then deletes the worker's row. It
// returns ErrDeclaredDead when other workers have taken its jobs, or may have.
func (h *heartbeat) run(ctx context.Context) error {
	ticker := time.NewTicker(h.every)
	defer ticker.Stop()
	for lastRound := time.Now(); ; {
		if time.Since(lastRound) > h.deadAfter {
			return ErrDeclaredDead // the whole process stood still
		}
		lastRound = time.Now()
		lastBeat, lastBeatenAt := h.process.BeatAt, h.beatenAt
		err := h.beat(ctx)
		// After the database's clock was set, every other worker looks dead once.
		clockWasSet := (h.process.BeatAt.Sub(lastBeat) - h.beatenAt.Sub(lastBeatenAt)).Abs() > h.deadAfter/2
		switch {
		case ctx.Err() != nil:
		case errors.Is(err, ErrDeclaredDead):
			return err
		case err != nil:
			h.steadySince = time.Time{}
			h.beats.Failed(ctx, err)
		case h.steadySince.IsZero() || clockWasSet:
			h.steadySince = time.Now()
		case time.Since(h.steadySince) > h.deadAfter:
			if err := h.releaseDead(ctx); err != nil && ctx.Err() == nil {
				h.releases.Failed(ctx, err)
			}
		}
		select {
		case <-ctx.Done():
			return h.signOff(ctx)
		case <-ticker.C:
		}
	}
}

// beat writes one heartbeat. The first one inserts the worker's row. A later one
// returns ErrDeclaredDead when another worker deleted the row.
func (h *heartbeat) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	connection, err := h.connection.Open(ctx)
	if err != nil {
		return fmt.Errorf("connect to write the heartbeat: %w", err)
	}
	if h.process.StartedAt.IsZero() {
		err := connection.QueryRow(ctx, `
			INSERT INTO job_processes (id, backend, host, pid, version, queues, concurrency, state, in_hand)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			ON CONFLICT (id) DO UPDATE SET beat_at = now()
			RETURNING started_at, beat_at`,
			h.process.ID, h.process.Backend, h.process.Host, h.process.PID, h.process.Version, h.process.Queues, h.process.Concurrency,
			h.state.Load(), h.running(),
		).Scan(&h.process.StartedAt, &h.process.BeatAt)
		if err != nil {
			return fmt.Errorf("insert the worker into the table of processes: %w", err)
		}
	} else {
		err := connection.QueryRow(ctx, `UPDATE job_processes SET beat_at = now(), state = $2, in_hand = $3 WHERE id = $1 RETURNING beat_at`,
			h.process.ID, h.state.Load(), h.running()).Scan(&h.process.BeatAt)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrDeclaredDead
		}
		if err != nil {
			return fmt.Errorf("write the heartbeat: %w", err)
		}
	}
	h.beatenAt = time.Now()
	h.beats.Worked(ctx)
	return nil
}

// releaseDead releases the jobs of workers without a recent heartbeat. Once a
// minute, it also deletes old claims of unique jobs.
func (h *heartbeat) releaseDead(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, beatEvery)
	defer cancel()
	connection, err := h.connection.Open(ctx)
	if err != nil {
		return fmt.Errorf("connect to release jobs: %w", err)
	}
	if err := h.releaser.releaseDead(ctx, connection, h.process.ID, h.deadAfter); err != nil {
		return err
	}
	h.releases.Worked(ctx)
	if time.Since(h.prunedAt) < time.Minute {
		return nil
	}
	h.prunedAt = time.Now()
	if err := pruneClaims(ctx, connection); err != nil {
		h.claims.Failed(ctx, err)
		return nil
	}
	h.claims.Worked(ctx)
	return nil
}

// afterStop is the result of a worker that has stopped in order, from the result of
// run. A worker whose database was away while it stopped may have been declared
// dead: then its jobs run elsewhere, and there is nothing left to do.
func (h *heartbeat) afterStop(err error) error {
	if !errors.Is(err, ErrDeclaredDead) {
		return err
	}
	h.log.Warn("Worker has stopped. Its heartbeat was missing for too long before that, so other workers may have run its last work again")
	return nil
}

// signOff deletes the worker's row, so that no other worker counts it as dead later.
func (h *heartbeat) signOff(ctx context.Context) error {
	if h.process.StartedAt.IsZero() || h.keepRow.Load() {
		return nil // there is no row, or another worker needs it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signOffTimeout)
	defer cancel()
	connection, err := h.connection.Open(ctx)
	if err == nil {
		_, err = connection.Exec(ctx, `DELETE FROM job_processes WHERE id = $1`, h.process.ID)
	}
	if err != nil {
		h.log.Warn("Worker is still in the table of processes; another worker will remove it", "error", err)
		return nil
	}
	_ = h.connection.Close(ctx) // an error changes nothing any more
	return nil
}
