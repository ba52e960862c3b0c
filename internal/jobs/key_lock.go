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
	// busyPause is how long work snoozes while another run holds its key.
	busyPause = 2 * time.Second
	// checkEvery is how often a run checks that it still holds its key.
	checkEvery = time.Second
	// lockTimeout is how long the database may take to reply about a lock.
	lockTimeout = 5 * time.Second
)

// keyLock lets one run at a time hold a key, over all workers of both backends.
// All locks of a worker belong to one connection outside its pool. They end with
// the worker, even when it is killed, and use no connection that jobs need.
type keyLock struct {
	timeout time.Duration // lockTimeout
	turn    chan struct{} // holds one item while a run uses the fields below

	own        *postgres.Connection
	connection *pgx.Conn // holds the locks; nil before the first lock and after a loss
	held       map[string]bool
}

func newKeyLock(db *pgxpool.Pool) *keyLock {
	return &keyLock{timeout: lockTimeout, own: postgres.NewConnection(db), turn: make(chan struct{}, 1), held: map[string]bool{}}
}

// run calls work when no other run holds the key, and snoozes when one does. When
// the connection that holds the lock is lost, it cancels the context of work,
// because another run may hold the key now.
func (k *keyLock) run(ctx context.Context, declaration Declaration, payload json.RawMessage, work func(context.Context) error) error {
	if declaration.OneAtATime == nil {
		return work(ctx)
	}
	key := declaration.Kind + " " + declaration.OneAtATime(payload)
	connection, err := k.lock(ctx, key)
	if err != nil {
		return fmt.Errorf("lock %q: %w", key, err)
	}
	if connection == nil {
		return Snooze(spread(busyPause), "another run holds the key "+key)
	}
	defer k.unlock(connection, key)

	ctx, cancel := context.WithCancelCause(ctx)
	var checking sync.WaitGroup
	checking.Go(func() { k.check(ctx, connection, cancel) })
	err = work(ctx)
	cancel(nil)
	checking.Wait()
	if err != nil && errors.Is(context.Cause(ctx), errLockLost) {
		return Snooze(spread(busyPause), "the key lock was lost during the run: "+err.Error())
	}
	return err
}

// Private

var errLockLost = errors.New("the connection that held the key lock was lost")

// lock returns the connection that now holds the key, nil when another run holds
// it.
func (k *keyLock) lock(ctx context.Context, key string) (*pgx.Conn, error) {
	if err := k.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer k.endTurn()
	ctx, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	if k.held[key] {
		return nil, nil // by this worker: PostgreSQL would give its connection the same lock again
	}
	if len(k.held) == 0 {
		connection, err := k.own.Open(ctx)
		if err != nil {
			return nil, err
		}
		k.connection = connection
	}
	var locked bool
	if err := k.connection.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, 1))`, key).Scan(&locked); err != nil {
		k.lose()
		return nil, err
	}
	if !locked {
		return nil, nil
	}
	k.held[key] = true
	return k.connection, nil
}

func (k *keyLock) unlock(connection *pgx.Conn, key string) {
	// This waits without a deadline, because every user of the turn has one. A lock
	// that is not released would last as long as the connection.
	k.turn <- struct{}{}
	defer k.endTurn()
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	if k.connection != connection {
		return // the lock ended with its connection
	}
	if _, err := connection.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, 1))`, key); err != nil {
		k.lose()
	}
	delete(k.held, key)
}

// check checks the lock until ctx ends, and cancels ctx when the lock is lost.
func (k *keyLock) check(ctx context.Context, connection *pgx.Conn, cancel context.CancelCauseFunc) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if !k.holds(connection) {
			cancel(errLockLost)
			return
		}
	}
}

// holds reports whether the connection is alive and still holds the locks.
func (k *keyLock) holds(connection *pgx.Conn) bool {
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	if k.takeTurn(ctx) != nil {
		return false
	}
	defer k.endTurn()
	if k.connection == connection && connection.Ping(ctx) != nil {
		k.lose()
	}
	return k.connection == connection
}

// lose closes the connection, which ends all locks.
func (k *keyLock) lose() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = k.own.Close(ctx) // the connection may be broken
	k.connection, k.held = nil, map[string]bool{}
}

func (k *keyLock) takeTurn(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keyLock) endTurn() { <-k.turn }
