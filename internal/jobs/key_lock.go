package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/jobs/taskqueue"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Private

const (
	// busyPause is how long work snoozes that could not ask for its key.
	busyPause = 2 * time.Second
	// checkEvery is how often a run checks that it still holds its key.
	checkEvery = time.Second
	// lockTimeout is how long the database may take to reply about a lock.
	lockTimeout = 5 * time.Second
)

// keyLock bounds the runs that hold a key, over all workers of both backends. A
// run holds one slot of its key, which is an advisory lock. All locks of a worker
// belong to one connection outside its pool. They end with the worker, even when
// it is killed, and use no connection that jobs need.
type keyLock struct {
	tasks   *taskqueue.Waker // nil in a worker of jobs
	sweeps  *telemetry.LoopLog
	wakes   *telemetry.LoopLog
	line    *keyLine
	timeout time.Duration // lockTimeout
	turn    chan struct{} // holds one item while a run uses the fields below

	own        *postgres.Connection
	connection *pgx.Conn        // holds the locks; nil before the first lock and after a loss
	held       map[string][]int // slots by key
}

func newKeyLock(db *pgxpool.Pool, tasks *taskqueue.Waker, log *slog.Logger) *keyLock {
	return &keyLock{
		tasks: tasks, line: &keyLine{places: map[string][]*place{}}, timeout: lockTimeout, turn: make(chan struct{}, 1),
		own: postgres.NewConnection(db), held: map[string][]int{},
		sweeps: telemetry.NewLoopLog(log, "Work that waits for a key could not be checked", "Work that waits for a key is checked again"),
		wakes: telemetry.NewLoopLog(log,
			"Task that waits for a key was not woken and is tried again", "Tasks that wait for a key are woken again"),
	}
}

// limit is a key, and how many runs may hold it at the same time.
type limit struct {
	key string
	max int
}

// slot is a right to run. It is valid as long as its connection is.
type slot struct {
	limit      limit
	number     int
	connection *pgx.Conn
}

// run calls work when the key of the work has a free slot, and parks the work when
// it has none. When the connection that holds the lock is lost, run cancels the
// context of work, because another run may have the slot now.
func (k *keyLock) run(ctx context.Context, d Declaration, w waiter, args json.RawMessage, work func(context.Context) error) error {
	if d.Limit.Key == nil {
		return work(ctx)
	}
	l := limit{d.Kind + " " + d.Limit.Key(args), d.Limit.Max}
	held, err := k.take(ctx, l, w)
	switch {
	case errors.Is(err, errParked) || err != nil && ctx.Err() != nil:
		return err
	case postgres.Unusable(err):
		return Snooze(spread(busyPause), fmt.Sprintf("the key %s could not be locked: %v", l.key, err))
	case err != nil:
		return fmt.Errorf("lock %q: %w", l.key, err)
	case held == nil:
		return Snooze(spread(busyPause), "the job changed while it waited for the key "+l.key)
	}
	defer k.giveBack(held)
	if err := ctx.Err(); err != nil {
		return err // ended while it waited for the lock
	}

	ctx, cancel := context.WithCancelCause(ctx)
	var checking sync.WaitGroup
	checking.Go(func() { k.check(ctx, held.connection, cancel) })
	err = work(ctx)
	cancel(nil)
	checking.Wait()
	if err != nil && errors.Is(context.Cause(ctx), errLockLost) {
		return Snooze(spread(busyPause), "the key lock was lost during the run: "+err.Error())
	}
	return err
}

var errLockLost = errors.New("the connection that held the key lock was lost")

// take returns a slot of the key. It returns errParked when the work waits for one,
// and nil when the work is not this run's any more.
func (k *keyLock) take(ctx context.Context, l limit, w waiter) (*slot, error) {
	leave := k.line.await(ctx, l.key, w)
	defer leave()
	if err := k.takeTurn(ctx); err != nil {
		return nil, err
	}
	defer k.endTurn()
	// The end of one run must not break the connection, on which others have locks.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), k.timeout)
	defer cancel()
	if err := k.open(ctx); err != nil {
		return nil, err
	}
	number, parked, err := takeSlot(ctx, k.connection, l, k.held[l.key], w)
	switch {
	case err != nil:
		k.lose()
		return nil, err
	case parked:
		return nil, &parkedError{"waits until fewer runs hold the key " + l.key}
	case number == nil:
		return nil, nil
	}
	k.held[l.key] = append(k.held[l.key], *number)
	return &slot{l, *number, k.connection}, nil
}

// giveBack returns the slot of a run that has ended, and wakes work that waits for
// one.
func (k *keyLock) giveBack(held *slot) {
	// This waits without a deadline, because every user of the turn has one. A lock
	// that is not released would last as long as the connection.
	k.turn <- struct{}{}
	woken := k.unlock(held)
	k.endTurn()
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	k.wakeTasks(ctx, woken, wakeWithin)
}

func (k *keyLock) unlock(held *slot) []wokenTask {
	if k.connection != held.connection {
		return nil // the lock ended with its connection
	}
	ctx, cancel := context.WithTimeout(context.Background(), k.timeout)
	defer cancel()
	rest := slices.DeleteFunc(slices.Clone(k.held[held.limit.key]), func(number int) bool { return number == held.number })
	woken, err := wakeNext(ctx, k.connection, held.limit, rest, &held.number)
	if err != nil {
		k.lose()
		return nil
	}
	if k.held[held.limit.key] = rest; len(rest) == 0 {
		delete(k.held, held.limit.key)
	}
	return woken
}

// open opens the connection unless it holds locks, which another would not have.
func (k *keyLock) open(ctx context.Context) error {
	if len(k.held) > 0 {
		return nil
	}
	connection, err := k.own.Open(ctx)
	if err != nil {
		return err
	}
	k.connection = connection
	return nil
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
	k.connection, k.held = nil, map[string][]int{}
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
