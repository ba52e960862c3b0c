package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/rivertype"

	"slipway/internal/postgres"
)

// Step runs one step of a job, unless an earlier run of the job has done it. Which
// steps are done is stored with the job, so that a job goes on where it stopped after a
// deploy, a failure or a death of its worker; only a step that was interrupted runs
// again. Names are unique within a job and stay the same in later releases.
//
// Before a step, a worker that stops gets its job back: Step returns an error, which
// the handler must return. The job goes on in another worker, and uses up no attempt.
// Outside a job, such as in a task or in a test, Step only calls do.
func Step(ctx context.Context, name string, do func(ctx context.Context) error) error {
	s := stepsOf(ctx)
	if s == nil {
		return do(ctx)
	}
	return s.run(ctx, name, func() error { return do(ctx) })
}

// StepCursor is Step for a long step that stores how far it is. It gives do the
// position that an earlier run has reached, which is the zero value at first. Positions
// are stored as JSON.
func StepCursor[T any](ctx context.Context, name string, do func(ctx context.Context, cursor *Cursor[T]) error) error {
	cursor := &Cursor[T]{name: name, steps: stepsOf(ctx)}
	if cursor.steps == nil {
		return do(ctx, cursor)
	}
	if stored := cursor.steps.stored.Cursor[name]; stored != nil {
		if err := json.Unmarshal(stored, &cursor.at); err != nil {
			return fmt.Errorf("read the position of the step %q: %w", name, err)
		}
	}
	return cursor.steps.run(ctx, name, func() error { return do(ctx, cursor) })
}

// Cursor is the position of a job within a step.
type Cursor[T any] struct {
	name  string
	at    T
	steps *steps // nil outside a job
}

// At returns the position: what comes before it is done.
func (c *Cursor[T]) At() T { return c.at }

// Set moves the position. It is stored at most once a second, so that a job whose
// worker dies repeats the work of a second. When the worker stops, Set stores the
// position and returns an error, which the handler must return.
func (c *Cursor[T]) Set(ctx context.Context, at T) error {
	c.at = at
	if c.steps == nil {
		return nil
	}
	if !c.steps.stopping() && time.Since(c.steps.storedAt) < storeEvery {
		return c.steps.setCursor(c.name, at)
	}
	if err := c.SetTx(ctx, c.steps.db, at); err != nil {
		return err
	}
	return c.steps.handBack()
}

// SetTx moves the position in the transaction that does the work before it: both commit
// or neither does, so that no work is done twice. It does not end a run. Db may also be a
// pool.
func (c *Cursor[T]) SetTx(ctx context.Context, db Execer, at T) error {
	c.at = at
	if c.steps == nil {
		return nil
	}
	if err := c.steps.setCursor(c.name, at); err != nil {
		return err
	}
	return c.steps.store(ctx, db)
}

// Execer is a transaction or a pool.
type Execer interface {
	Exec(ctx context.Context, sql string, arguments ...any) (pgconn.CommandTag, error)
}

// Private

// storeEvery is the least time between two positions of a step that are stored.
const storeEvery = time.Second

// stepsKey is the name under which the metadata of a job hold its steps.
const stepsKey = "slipway:steps"

// steps are what one run of a job knows of its steps. A handler uses them from one
// goroutine at a time.
type steps struct {
	db       *pgxpool.Pool
	job      *rivertype.JobRow
	stopping func() bool // the worker of the job stops
	stored   storedSteps
	storedAt time.Time
	seen     []string // the steps of this run
	current  string   // the step that runs; empty: none
}

// storedSteps are the steps of a job as its metadata hold them.
type storedSteps struct {
	Done   []string                   `json:"done,omitempty"`
	Cursor map[string]json.RawMessage `json:"cursor,omitempty"` // the positions of steps that are not done
}

type stepsOfContext struct{}

// withSteps returns the context of a run of a job.
func withSteps(ctx context.Context, s *steps) context.Context {
	return context.WithValue(ctx, stepsOfContext{}, s)
}

func stepsOf(ctx context.Context) *steps {
	s, _ := ctx.Value(stepsOfContext{}).(*steps)
	return s
}

// newSteps reads the steps of a job. Steps that cannot be read are done again.
func newSteps(db *pgxpool.Pool, job *rivertype.JobRow, stopping func() bool) *steps {
	s := &steps{db: db, job: job, stopping: stopping}
	if bytes.Contains(job.Metadata, []byte(`"`+stepsKey+`"`)) { // spares the other jobs the reading
		var m struct {
			Steps storedSteps `json:"slipway:steps"`
		}
		if json.Unmarshal(job.Metadata, &m) == nil {
			s.stored = m.Steps
		}
	}
	return s
}

// run does a step that is not done, and stores that it is.
func (s *steps) run(ctx context.Context, name string, do func() error) error {
	switch {
	case s.current != "":
		return Permanent(fmt.Errorf("the step %q begins within the step %q", name, s.current))
	case slices.Contains(s.seen, name):
		return Permanent(fmt.Errorf("there are two steps named %q", name))
	}
	s.seen = append(s.seen, name)
	if slices.Contains(s.stored.Done, name) {
		return nil
	}
	if err := s.handBack(); err != nil {
		return err
	}
	s.current = name
	err := do()
	s.current = ""
	if err != nil {
		return s.storeInterrupted(ctx, err)
	}
	s.stored.Done = append(s.stored.Done, name)
	delete(s.stored.Cursor, name)
	return s.store(ctx, s.db)
}

// handBack returns an error when the worker stops.
func (s *steps) handBack() error {
	if s.stopping() {
		return Snooze(0, "the worker stops, and the job goes on in another one")
	}
	return nil
}

// storeInterrupted stores the position of a step that ends with an error.
func (s *steps) storeInterrupted(ctx context.Context, cause error) error {
	if len(s.stored.Cursor) == 0 {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // ctx may have ended
	defer cancel()
	if err := s.store(ctx, s.db); err != nil && !errors.Is(err, errLostJob) {
		return errors.Join(cause, err)
	}
	return cause
}

func (s *steps) setCursor(name string, at any) error {
	written, err := json.Marshal(at)
	if err != nil {
		return fmt.Errorf("write the position of the step %q as JSON: %w", name, err)
	}
	if s.stored.Cursor == nil {
		s.stored.Cursor = map[string]json.RawMessage{}
	}
	s.stored.Cursor[name] = written
	return nil
}

// errLostJob is the error of a run whose job was given to another one.
var errLostJob = errors.New("the job is not this run's any more")

// store writes the steps to the metadata of the job, as long as this run has it.
func (s *steps) store(ctx context.Context, db Execer) error {
	written, err := json.Marshal(s.stored)
	if err != nil {
		return fmt.Errorf("write the steps of the job as JSON: %w", err)
	}
	changed, err := db.Exec(ctx, `
		UPDATE river_job SET metadata = jsonb_set(metadata, '{`+stepsKey+`}', $3::jsonb)
		WHERE id = $1 AND state = 'running' AND attempted_at = $2`, s.job.ID, s.job.AttemptedAt, written)
	switch {
	case postgres.Unusable(err):
		return Snooze(spread(busyPause), fmt.Sprintf("the steps of the job could not be stored: %v", err))
	case err != nil:
		return fmt.Errorf("store the steps of the job: %w", err)
	case changed.RowsAffected() == 0:
		return errLostJob
	}
	s.storedAt = time.Now()
	return nil
}
