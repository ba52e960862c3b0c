package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/postgres"
)

const (
	// busyPause is how long work waits whose key another run holds.
	busyPause = 2 * time.Second
	// watchEvery is how often a run looks whether it still has its key.
	watchEvery = time.Second
	// answerWithin is how long the database may take for an answer about a lock.
	answerWithin = 5 * time.Second
)

// exclusive lets one run at a time have a key, over all workers of both
// backends. All locks of a worker belong to one connection besides its pool: they
// end with the worker, however that ends, and leave the pool to the work.
type exclusive struct {
	within time.Duration // answerWithin
	turn   chan struct{} // of one, who may use what follows

	own        *postgres.Connection
	connection *pgx.Conn // of the locks; nil: none yet, or lost
	held       map[string]bool
}

func newExclusive(db *pgxpool.Pool) *exclusive {
	return &exclusive{within: answerWithin, own: postgres.Beside(db), turn: make(chan struct{}, 1), held: map[string]bool{}}
}

// run calls work when no other run has the key, and is to be repeated later
// when one has. When the lock is lost, with its connection, the work is told to
// stop: another run may have the key now.
func (e *exclusive) run(ctx context.Context, declaration Declaration, payload json.RawMessage, work func(context.Context) error) error {
	if declaration.OneAtATime == nil {
		return work(ctx)
	}
	key := declaration.Kind + " " + declaration.OneAtATime(payload)
	connection, err := e.lock(ctx, key)
	if err != nil {
		return fmt.Errorf("lock %q: %w", key, err)
	}
	if connection == nil {
		return Later(spread(busyPause), "another run has the key "+key)
	}
	defer e.unlock(connection, key)

	ctx, cancel := context.WithCancelCause(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { e.watch(ctx, connection, cancel) })
	err = work(ctx)
	cancel(nil)
	watching.Wait()
	if err != nil && errors.Is(context.Cause(ctx), errLockLost) {
		return Later(spread(busyPause), "the lock was lost while it ran: "+err.Error())
	}
	return err
}

// Private

var errLockLost = errors.New("the connection that held the lock was lost")

// lock returns the connection that holds the key now, nil when another run has
// it.
func (e *exclusive) lock(ctx context.Context, key string) (*pgx.Conn, error) {
	if err := e.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer e.endTurn()
	ctx, cancel := context.WithTimeout(ctx, e.within)
	defer cancel()
	if e.held[key] {
		return nil, nil // by this worker, whom PostgreSQL would give it twice
	}
	if len(e.held) == 0 {
		connection, err := e.own.Open(ctx)
		if err != nil {
			return nil, err
		}
		e.connection = connection
	}
	var locked bool
	if err := e.connection.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 1))`, key).Scan(&locked); err != nil {
		e.lose()
		return nil, err
	}
	if !locked {
		return nil, nil
	}
	e.held[key] = true
	return e.connection, nil
}

func (e *exclusive) unlock(connection *pgx.Conn, key string) {
	// Without a deadline: whoever has the turn has one, and a lock that is left
	// behind would be held for as long as others keep the connection.
	e.turn <- struct{}{}
	defer e.endTurn()
	ctx, cancel := context.WithTimeout(context.Background(), e.within)
	defer cancel()
	if e.connection != connection {
		return // the lock went with it
	}
	if _, err := connection.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 1))`, key); err != nil {
		e.lose()
	}
	delete(e.held, key)
}

// watch looks after a lock until ctx ends, and ends it when the lock is lost.
func (e *exclusive) watch(ctx context.Context, connection *pgx.Conn, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !e.holds(connection) {
			cancel(errLockLost)
			return
		}
	}
}

func (e *exclusive) holds(connection *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), e.within)
	defer cancel()
	if e.takeTurn(ctx) != nil {
		return false
	}
	defer e.endTurn()
	if e.connection == connection && connection.Ping(ctx) != nil {
		e.lose()
	}
	return e.connection == connection
}

// lose forgets the connection, and all locks with it.
func (e *exclusive) lose() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = e.own.Close(ctx) // it may be broken
	e.connection, e.held = nil, map[string]bool{}
}

func (e *exclusive) takeTurn(ctx context.Context) error {
	select {
	case e.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *exclusive) endTurn() { <-e.turn }
