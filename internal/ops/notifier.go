package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/mail"
	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Trouble is something that goes on and that an operator should know of.
type Trouble struct {
	Name  string // the same in all processes, such as a check of /health
	Text  string
	Since time.Time
}

// Notifier sends mail to an operator about errors that are new or have come back, and
// about troubles. All processes of an installation together send one mail in ten
// minutes at most, which sums up what has happened since the last.
type Notifier struct {
	options NotifierOptions
	rounds  *telemetry.LoopLog
	alone   map[string]bool // troubles that were told without the database, since it was last there
	aloneAt time.Time       // of the last such mail
}

// NotifierOptions configure a notifier. All fields are required.
type NotifierOptions struct {
	DB      *pgxpool.Pool
	To      string // the operator's address
	Sender  mail.Sender
	BaseURL string // of the links
	// Troubles returns what goes on now. It must not wait.
	Troubles func() []Trouble
	// Alone says that this process sends mail about troubles by itself while the database
	// is away. One role of an installation does.
	Alone bool
	Log   *slog.Logger
}

// NewNotifier returns a notifier. Call its Run.
func NewNotifier(options NotifierOptions) *Notifier {
	return &Notifier{
		options: options,
		rounds:  telemetry.NewLoopLog(options.Log, "Operator could not be told by mail", "Operator can be told by mail again"),
	}
}

// Run looks for news every minute until ctx ends.
func (n *Notifier) Run(ctx context.Context) error {
	ticker := time.NewTicker(notifyEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := n.Round(ctx); err != nil && ctx.Err() == nil {
			n.rounds.Failed(ctx, err)
		} else {
			n.rounds.Worked(ctx)
		}
	}
}

// Round sends a mail when there is news and it is the turn of this process. It is not
// for use while Run runs.
func (n *Notifier) Round(ctx context.Context) error {
	troubles := n.options.Troubles()
	err := n.tellNews(postgres.Yield(ctx), troubles)
	var unsent *unsentError
	switch {
	case err == nil:
		n.alone = nil
	case n.options.Alone && !errors.As(err, &unsent):
		return errors.Join(err, n.tellAlone(ctx, troubles))
	}
	return err
}

// Private

const (
	notifyEvery = time.Minute
	// databasePart bounds the statements of a round, and those after a mail.
	databasePart = 5 * time.Second
	mailPart     = 30 * time.Second
	// mailPause is the shortest time between two mails of an installation.
	mailPause = 10 * time.Minute
	// mailRetry is when another mail is tried after one that could not be sent.
	mailRetry = 2 * time.Minute
	// troubleOver is how long after it was last seen a trouble counts as over.
	troubleOver = 5 * time.Minute
	// mostInMail bounds the errors that one mail describes.
	mostInMail = 20
)

// unsentError means that the database is there and the mail could not be sent.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error { return e.error }

func (n *Notifier) tellNews(ctx context.Context, troubles []Trouble) error {
	found, mine, err := n.findNews(ctx, troubles)
	if err != nil || !mine {
		return err
	}
	if err := n.send(ctx, found); err != nil {
		return &unsentError{n.giveTurnBack(ctx, err)}
	}
	return n.markTold(ctx, found)
}

// findNews returns what to tell, and whether it is the turn of this process.
func (n *Notifier) findNews(ctx context.Context, troubles []Trouble) (found news, mine bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, databasePart)
	defer cancel()
	if err := n.noteTroubles(ctx, troubles); err != nil {
		return found, false, err
	}
	if mine, err = n.takeTurn(ctx); err != nil || !mine {
		return found, false, err
	}
	found, err = n.news(ctx)
	return found, err == nil, err
}

func (n *Notifier) send(ctx context.Context, of news) error {
	ctx, cancel := context.WithTimeout(ctx, mailPart)
	defer cancel()
	if err := n.options.Sender.Send(ctx, n.compose(of)); err != nil {
		return fmt.Errorf("send mail to the operator: %w", err)
	}
	return nil
}

// noteTroubles writes what goes on, and forgets what is over.
func (n *Notifier) noteTroubles(ctx context.Context, troubles []Trouble) error {
	var names, texts []string
	var ages []time.Duration
	for _, one := range troubles {
		names, texts, ages = append(names, one.Name), append(texts, printable(one.Text)), append(ages, time.Since(one.Since))
	}
	_, err := n.options.DB.Exec(ctx, `
		WITH over AS (DELETE FROM ops_troubles WHERE seen_at < clock_timestamp() - $4::interval AND name <> ALL (coalesce($1::text[], '{}')))
		INSERT INTO ops_troubles AS stored (name, text, since, seen_at)
		SELECT name, text, clock_timestamp() - age, clock_timestamp()
		FROM unnest($1::text[], $2::text[], $3::interval[]) AS seen (name, text, age)
		ORDER BY name
		ON CONFLICT (name) DO UPDATE SET text = excluded.text, seen_at = excluded.seen_at`, names, texts, ages, troubleOver)
	if err != nil {
		return fmt.Errorf("note troubles: %w", err)
	}
	return nil
}

// takeTurn reports whether there is news and this process is to tell it.
func (n *Notifier) takeTurn(ctx context.Context) (bool, error) {
	taken, err := n.options.DB.Exec(ctx, `
		UPDATE ops_mail
		SET sent_at = clock_timestamp()
		WHERE (sent_at < clock_timestamp() - $1::interval OR sent_at > clock_timestamp()) -- the clock was set back
		  AND (EXISTS (SELECT FROM ops_errors WHERE mailed_at IS NULL AND resolved_at IS NULL)
		    OR EXISTS (SELECT FROM ops_troubles WHERE mailed_at IS NULL))`, mailPause)
	if err != nil {
		return false, fmt.Errorf("take the turn to send mail: %w", err)
	}
	return taken.RowsAffected() == 1, nil
}

// giveTurnBack lets a mail be tried again soon. It returns the failure of the mail.
func (n *Notifier) giveTurnBack(ctx context.Context, failure error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databasePart)
	defer cancel()
	_, err := n.options.DB.Exec(ctx, `UPDATE ops_mail SET sent_at = clock_timestamp() - $1::interval`, mailPause-mailRetry)
	if err != nil {
		return fmt.Errorf("%w (and the next attempt is in %s: %w)", failure, mailPause, err)
	}
	return failure
}

// news is what the operator was not told yet.
type news struct {
	errors   []ErrorGroup // the most frequent first, mostInMail at most
	ids      []string     // of all errors
	troubles []Trouble
}

func (n *Notifier) news(ctx context.Context) (found news, err error) {
	rows, err := n.options.DB.Query(ctx, errorColumns+`WHERE mailed_at IS NULL AND resolved_at IS NULL ORDER BY count DESC, id`)
	if err != nil {
		return found, fmt.Errorf("read new errors: %w", err)
	}
	groups, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ErrorGroup])
	if err != nil {
		return found, fmt.Errorf("read new errors: %w", err)
	}
	for _, one := range groups {
		found.ids = append(found.ids, one.ID)
	}
	found.errors = groups[:min(len(groups), mostInMail)]
	rows, err = n.options.DB.Query(ctx, `SELECT name, text, since FROM ops_troubles WHERE mailed_at IS NULL ORDER BY since`)
	if err != nil {
		return found, fmt.Errorf("read troubles: %w", err)
	}
	if found.troubles, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Trouble]); err != nil {
		return found, fmt.Errorf("read troubles: %w", err)
	}
	return found, nil
}

// markTold also works for a process that stops: the mail is sent.
func (n *Notifier) markTold(ctx context.Context, told news) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databasePart)
	defer cancel()
	var troubles []string
	for _, one := range told.troubles {
		troubles = append(troubles, one.Name)
	}
	_, err := n.options.DB.Exec(ctx, `
		WITH errors AS (UPDATE ops_errors SET mailed_at = clock_timestamp() WHERE id = ANY ($1))
		UPDATE ops_troubles SET mailed_at = clock_timestamp() WHERE name = ANY ($2)`, told.ids, troubles)
	if err != nil {
		return fmt.Errorf("remember what the operator was told: %w", err)
	}
	return nil
}

// tellAlone sends a mail about troubles that were not told yet, while the database
// cannot be used.
func (n *Notifier) tellAlone(ctx context.Context, troubles []Trouble) error {
	told := maps.Clone(n.alone)
	if told == nil {
		told = map[string]bool{}
	}
	var untold []Trouble
	for _, one := range troubles {
		if !told[one.Name] {
			untold = append(untold, one)
			told[one.Name] = true
		}
	}
	if len(untold) == 0 || time.Since(n.aloneAt) < mailPause {
		return nil
	}
	if err := n.send(ctx, news{troubles: untold}); err != nil {
		return err
	}
	n.alone, n.aloneAt = told, time.Now()
	return nil
}

// compose writes the mail. Its texts are redacted already, as everything in the
// database.
func (n *Notifier) compose(of news) mail.Message {
	host := strings.TrimPrefix(strings.TrimPrefix(n.options.BaseURL, "https://"), "http://")
	var text strings.Builder
	for _, one := range of.troubles {
		fmt.Fprintf(&text, "%s since %s\n  %s\n\n", one.Name, one.Since.UTC().Format(time.RFC3339), indented(one.Text))
	}
	for _, one := range of.errors {
		fmt.Fprintf(&text, "%s in %s (%s, version %s): %d times, first %s, last %s\n  %s\n  %s/ops/errors/%s\n\n",
			one.Title, one.Source, one.Role, one.Version, one.Count, one.First.UTC().Format(time.RFC3339), one.Last.UTC().Format(time.RFC3339),
			indented(one.Message), n.options.BaseURL, one.ID)
	}
	if more := len(of.ids) - len(of.errors); more > 0 {
		fmt.Fprintf(&text, "and %d more errors\n\n", more)
	}
	fmt.Fprintf(&text, "All of them: %s/ops/errors\nThe next mail comes in %d minutes at the earliest.\n",
		n.options.BaseURL, int(mailPause.Minutes()))
	return mail.Message{To: n.options.To, Subject: fmt.Sprintf("[%s] %s", host, of.subject()), Text: text.String()}
}

func (of news) subject() string {
	switch {
	case len(of.troubles) > 0 && len(of.ids) > 0:
		return fmt.Sprintf("%s is in trouble, and %d new errors", of.troubles[0].Name, len(of.ids))
	case len(of.troubles) > 1:
		return fmt.Sprintf("%s and %d more are in trouble", of.troubles[0].Name, len(of.troubles)-1)
	case len(of.troubles) == 1:
		return of.troubles[0].Name + " is in trouble"
	case len(of.ids) == 1 && len(of.errors) == 1:
		return of.errors[0].Title + " in " + of.errors[0].Source
	}
	return fmt.Sprintf("%d new errors", len(of.ids))
}

func indented(text string) string { return strings.ReplaceAll(text, "\n", "\n  ") }
