package inspect

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ActionID names an action in the audit list.
type ActionID int64

// Outcome is how far an action has come.
type Outcome string

// The outcomes.
const (
	ActionWaiting Outcome = "waiting" // for a worker-pg
	ActionRunning Outcome = "running"
	ActionDone    Outcome = "done"
	ActionStopped Outcome = "stopped" // by an operator
	ActionFailed  Outcome = "failed"  // it ended early with an error
)

// AuditedAction is one entry of the audit list: what an operator did.
type AuditedAction struct {
	ID         ActionID  `json:"id"`
	Actor      string    `json:"actor"`
	Action     Action    `json:"action"`
	Subject    string    `json:"subject"` // the text of a filter, ids, or the name of a queue
	Asked      int       `json:"asked"`   // how many the filter selected when the action began
	AskedMore  bool      `json:"asked_more"`
	Outcome    Outcome   `json:"outcome"`
	Report     Report    `json:"report"`
	AskedAt    time.Time `json:"asked_at"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	BeatAt     time.Time `json:"beat_at,omitzero"`
	FinishedAt time.Time `json:"finished_at,omitzero"`
}

// MostListedActions is the most entries that Actions returns.
const MostListedActions = 100

// Actions returns the audit list, the newest first. Before is the last entry of the
// page before; 0: the first page.
func (i *Inspector) Actions(ctx context.Context, before ActionID, limit int) ([]AuditedAction, error) {
	if limit <= 0 || limit > MostListedActions {
		limit = MostListedActions
	}
	rows, err := i.db.Query(ctx, `
		SELECT `+auditColumns+`
		FROM operator_actions
		WHERE $1 = 0 OR id < $1
		ORDER BY id DESC
		LIMIT $2`, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list the actions of operators: %w", err)
	}
	actions, err := pgx.CollectRows(rows, scanAction)
	if err != nil {
		return nil, fmt.Errorf("list the actions of operators: %w", err)
	}
	return actions, nil
}

// Action returns one entry of the audit list, or ErrNotFound.
func (i *Inspector) Action(ctx context.Context, id ActionID) (AuditedAction, error) {
	rows, err := i.db.Query(ctx, `SELECT `+auditColumns+` FROM operator_actions WHERE id = $1`, id)
	if err != nil {
		return AuditedAction{}, fmt.Errorf("read the action %d: %w", id, err)
	}
	action, err := pgx.CollectExactlyOneRow(rows, scanAction)
	if errors.Is(err, pgx.ErrNoRows) {
		return AuditedAction{}, fmt.Errorf("the action %d: %w", id, ErrNotFound)
	}
	if err != nil {
		return AuditedAction{}, fmt.Errorf("read the action %d: %w", id, err)
	}
	return action, nil
}

// ActAs does an action to jobs and tasks at once, and writes it to the audit list.
// The report says what became of each. It returns an error when the audit list
// cannot be written; then nothing is done.
func (i *Inspector) ActAs(ctx context.Context, actor string, action Action, ids ...ID) (Report, error) {
	if len(ids) > PageSize {
		return newReport(action), fmt.Errorf("%s: more than %d ids at once: use a filter", action, PageSize)
	}
	names := make([]string, len(ids))
	for n, id := range ids {
		names[n] = id.String()
	}
	return i.audited(ctx, actor, action, strings.Join(names, " "), func(b *bulkRun) error {
		return sideBySide(ctx, ids, func(ctx context.Context, id ID) { b.note(id, i.Act(ctx, action, id)) })
	})
}

// ActOnAllAs is ActOnAll with an entry in the audit list.
func (i *Inspector) ActOnAllAs(ctx context.Context, actor string, bulk Bulk) (Report, error) {
	return i.audited(ctx, actor, bulk.Action, bulk.Filter.String(), func(b *bulkRun) error {
		var err error
		b.report, err = i.ActOnAll(ctx, bulk)
		return err
	})
}

// Note writes an action that was done by other means, such as the pause of a queue,
// to the audit list.
func (i *Inspector) Note(ctx context.Context, actor string, action Action, subject string, failure error) error {
	report, outcome := newReport(action), ActionDone
	if failure != nil {
		report.Failed, report.Problems, outcome = 1, []string{failure.Error()}, ActionFailed
	}
	_, err := i.db.Exec(ctx, `
		INSERT INTO operator_actions (actor, action, subject, outcome, report, started_at, finished_at)
		VALUES ($1, $2, $3, $4, $5, now(), now())`, bounded(actor), action, bounded(subject), outcome, report)
	if err != nil {
		return fmt.Errorf("write the audit list: %w", err)
	}
	return nil
}

// Private

const auditColumns = `id, actor, action, subject, coalesce(asked, 0), asked_more, outcome, report,
	asked_at, started_at, beat_at, finished_at`

func scanAction(row pgx.CollectableRow) (AuditedAction, error) {
	a := AuditedAction{}
	var started, beat, finished *time.Time
	err := row.Scan(&a.ID, &a.Actor, &a.Action, &a.Subject, &a.Asked, &a.AskedMore, &a.Outcome, &a.Report,
		&a.AskedAt, &started, &beat, &finished)
	for from, to := range map[**time.Time]*time.Time{&started: &a.StartedAt, &beat: &a.BeatAt, &finished: &a.FinishedAt} {
		if *from != nil {
			*to = **from
		}
	}
	a.Report.ID = a.ID
	return a, err
}

// audited does an action between the beginning and the end of its entry in the audit
// list.
func (i *Inspector) audited(ctx context.Context, actor string, action Action, subject string, do func(b *bulkRun) error) (Report, error) {
	var id ActionID
	err := i.db.QueryRow(ctx, `
		INSERT INTO operator_actions (actor, action, subject, outcome, started_at, beat_at)
		VALUES ($1, $2, $3, 'running', now(), now())
		RETURNING id`, bounded(actor), action, bounded(subject)).Scan(&id)
	if err != nil {
		return newReport(action), fmt.Errorf("write the audit list: %w", err)
	}
	b := i.newBulkRun(Bulk{Action: action})
	err = do(b)
	b.report.ID = id
	outcome := ActionDone
	if err != nil {
		outcome = ActionFailed
	}
	return b.report, errors.Join(err, i.finish(ctx, id, outcome, b.report))
}

// finish ends an entry, also after ctx has ended.
func (i *Inspector) finish(ctx context.Context, id ActionID, outcome Outcome, report Report) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := i.db.Exec(ctx, `
		UPDATE operator_actions
		SET outcome = $2, report = $3, finished_at = now()
		WHERE id = $1`, id, outcome, report)
	if err != nil {
		return fmt.Errorf("write the audit list: %w", err)
	}
	return nil
}

// bounded is a text of the audit list, which a caller must not fill without end.
func bounded(text string) string {
	const most = 4000 // characters
	if short := []rune(storable(text)); len(short) > most {
		return string(short[:most]) + "…"
	}
	return storable(text)
}
