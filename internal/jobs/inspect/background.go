package inspect

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// Start stores a bulk action, which a worker-pg does in the background. It goes on
// with another worker when that one dies. Without a worker it waits, and the audit
// list says so.
func (i *Inspector) Start(ctx context.Context, actor string, bulk Bulk) (ActionID, error) {
	if _, err := ParseFilter(bulk.Filter.String()); err != nil {
		return 0, err
	}
	asked, more, err := i.CountBulk(ctx, bulk, jobs.MostCounted)
	if err != nil {
		return 0, fmt.Errorf("count what the action is for: %w", err)
	}
	stored, err := json.Marshal(storedBulk{bulk.Action, bulk.Filter.String(), bulk.Most})
	if err != nil {
		return 0, fmt.Errorf("store the action: %w", err)
	}
	var id ActionID
	err = i.db.QueryRow(ctx, `
		INSERT INTO operator_actions (actor, action, subject, bulk, asked, asked_more, outcome, report)
		VALUES ($1, $2, $3, $4, $5, $6, 'waiting', $7)
		RETURNING id`,
		bounded(actor), bulk.Action, bounded(bulk.Filter.String()), stored, asked, more, newReport(bulk.Action)).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("store the action: %w", err)
	}
	return id, nil
}

// StopAction ends a bulk action in the background: at once while it waits for a worker,
// and otherwise within seconds. What it has done remains done.
func (i *Inspector) StopAction(ctx context.Context, actor string, id ActionID) error {
	changed, err := i.db.Exec(ctx, `
		UPDATE operator_actions
		SET stop_asked = true,
		    outcome = CASE WHEN outcome = 'waiting' THEN 'stopped' ELSE outcome END,
		    finished_at = CASE WHEN outcome = 'waiting' THEN now() END
		WHERE id = $1 AND bulk IS NOT NULL AND outcome IN ('waiting', 'running')`, id)
	if err == nil && changed.RowsAffected() == 0 {
		if _, err = i.Action(ctx, id); err == nil {
			err = fmt.Errorf("%w: it has ended", ErrState)
		}
	}
	if err != nil {
		return fmt.Errorf("stop the action %d: %w", id, err)
	}
	return i.Note(ctx, actor, "stop", fmt.Sprintf("action %d", id), nil)
}

// RunActions does the bulk actions in the background, one at a time, until ctx ends.
// Any number of workers may run it. It also deletes old entries of the audit list.
func (i *Inspector) RunActions(ctx context.Context, log *slog.Logger) error {
	runner := rand.Text()
	ticker := time.NewTicker(lookForActions)
	defer ticker.Stop()
	for rounds := 0; ; rounds++ {
		did, err := i.runNextAction(ctx, runner)
		if err == nil && rounds%pruneAudits == 0 {
			err = i.pruneAudit(ctx)
		}
		if err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "Bulk action did not go on", "error", err)
		}
		if did && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// Private

const (
	lookForActions = time.Second
	// actionBeat is the interval at which a worker says that it does an action, and
	// asks whether it shall stop.
	actionBeat = 2 * time.Second
	// actionLease is the time after the last beat when another worker goes on.
	actionLease = 20 * time.Second
	// pruneAudits is the number of rounds between two deletions of old entries.
	pruneAudits = 600
	// auditKept is how long the audit list keeps an entry.
	auditKept = 90 * 24 * time.Hour
)

// storedBulk is a bulk action as the database holds it.
type storedBulk struct {
	Action Action `json:"action"`
	Filter string `json:"filter"`
	Most   int    `json:"most,omitempty"`
}

var (
	errLost = errors.New("another worker goes on with the action")
	errStop = errors.New("an operator stopped the action")
)

// runNextAction does one action that waits or whose worker is gone. It reports false
// when there is none.
func (i *Inspector) runNextAction(ctx context.Context, runner string) (did bool, err error) {
	var id ActionID
	var stored, place []byte
	var report Report
	err = i.db.QueryRow(ctx, `
		UPDATE operator_actions
		SET outcome = 'running', runner = $1, started_at = coalesce(started_at, now()), beat_at = now()
		WHERE id = (
			SELECT id FROM operator_actions
			WHERE bulk IS NOT NULL AND outcome IN ('waiting', 'running')
			  AND (outcome = 'waiting' OR outcome = 'running' AND beat_at < now() - $2::interval)
			  AND asked_at > now() - $3::interval
			ORDER BY id
			LIMIT 1
			FOR UPDATE SKIP LOCKED
		)
		RETURNING id, bulk, place, report`, runner, actionLease, auditKept).Scan(&id, &stored, &place, &report)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find a bulk action: %w", err)
	}
	b, err := i.restore(stored, place, report)
	if err == nil {
		err = b.runAs(ctx, id, runner)
	}
	switch {
	case errors.Is(err, errLost):
		return true, nil
	case ctx.Err() != nil: // the worker stops, and another one goes on
		return true, i.release(ctx, id, runner)
	case errors.Is(err, errStop):
		return true, i.finish(ctx, id, ActionStopped, b.report)
	case err != nil:
		if b == nil {
			return true, i.finish(ctx, id, ActionFailed, report)
		}
		b.report.Problems = append(b.report.Problems, err.Error())
		return true, i.finish(ctx, id, ActionFailed, b.report)
	}
	return true, i.finish(ctx, id, ActionDone, b.report)
}

// restore returns a bulk action as it was when it was stored last.
func (i *Inspector) restore(stored, place []byte, report Report) (*bulkRun, error) {
	var bulk storedBulk
	if err := json.Unmarshal(stored, &bulk); err != nil {
		return nil, fmt.Errorf("read the bulk action: %w", err)
	}
	filter, err := ParseFilter(bulk.Filter)
	if err != nil {
		return nil, err
	}
	b := i.newBulkRun(Bulk{Action: bulk.Action, Filter: filter, Most: bulk.Most})
	if err := json.Unmarshal(place, &b.place); err != nil {
		return nil, fmt.Errorf("read the place of the bulk action: %w", err)
	}
	if b.resumed = !b.place.StartedAt.IsZero(); b.resumed {
		b.report = report
	}
	return b, nil
}

// runAs does the action while the runner holds it.
func (b *bulkRun) runAs(ctx context.Context, id ActionID, runner string) error {
	b.save = func(ctx context.Context, db taskqueue.Execer) error {
		place, err := json.Marshal(b.place)
		if err != nil {
			return fmt.Errorf("store the place of the bulk action: %w", err)
		}
		saved, err := db.Exec(ctx, `
			UPDATE operator_actions SET place = $3, report = $4, beat_at = now()
			WHERE id = $1 AND runner = $2 AND outcome = 'running'`, id, runner, place, b.report)
		if err == nil && saved.RowsAffected() == 0 {
			err = errLost
		}
		return err
	}
	if !b.resumed {
		if err := b.begin(ctx); err != nil {
			return err
		}
		if err := b.saved(ctx); err != nil {
			return err
		}
	}
	ctx, end := context.WithCancelCause(ctx)
	var beating sync.WaitGroup
	beating.Go(func() { b.beat(ctx, end, id, runner) })
	err := b.run(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	end(nil)
	beating.Wait()
	return errors.Join(err, b.countFailedAgain(ctx))
}

// beat keeps the action until ctx ends. It ends the run when an operator stopped it or
// another worker has it.
func (b *bulkRun) beat(ctx context.Context, end context.CancelCauseFunc, id ActionID, runner string) {
	ticker := time.NewTicker(actionBeat)
	defer ticker.Stop()
	for {
		var stop bool
		err := b.db.QueryRow(ctx, `
			UPDATE operator_actions SET beat_at = now()
			WHERE id = $1 AND runner = $2 AND outcome = 'running'
			RETURNING stop_asked`, id, runner).Scan(&stop)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			end(errLost)
		case err == nil && stop:
			end(errStop)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// release lets another worker go on at once.
func (i *Inspector) release(ctx context.Context, id ActionID, runner string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := i.db.Exec(ctx, `
		UPDATE operator_actions SET outcome = 'waiting' WHERE id = $1 AND runner = $2 AND outcome = 'running'`, id, runner)
	if err != nil {
		return fmt.Errorf("release the action %d: %w", id, err)
	}
	return nil
}

// pruneAudit deletes old entries, a bounded number at a time.
func (i *Inspector) pruneAudit(ctx context.Context) error {
	_, err := i.db.Exec(ctx, `
		DELETE FROM operator_actions
		WHERE id IN (SELECT id FROM operator_actions WHERE asked_at < now() - $1::interval ORDER BY asked_at LIMIT 1000)`, auditKept)
	if err != nil {
		return fmt.Errorf("delete old entries of the audit list: %w", err)
	}
	return nil
}
