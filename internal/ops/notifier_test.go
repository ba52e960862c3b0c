package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/mail"
	"slipway/internal/postgres/pgtest"
)

func TestNotifier_SendsOneMailAboutAStormOfErrors(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	for i := range 100 {
		r.reporter.Unexpected(fmt.Sprintf("GET /%d", i), "", errors.New("no"))
	}
	r.flush(t, db)
	outbox := mail.NewDirectory(t.TempDir(), "app@example.com")
	var processes sync.WaitGroup
	for range 4 {
		processes.Go(func() { require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context())) })
	}
	processes.Wait()
	r.reporter.Unexpected("GET /one-more", "", errors.New("no"))
	r.flush(t, db)
	require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context()))

	mails := listed(t, outbox)
	require.Len(t, mails, 1)
	require.Contains(t, mails[0].Subject, "100 new errors")
	require.Contains(t, mails[0].Text, "and 80 more errors")
	require.Contains(t, mails[0].Text, "https://app.example.com/ops/errors/")

	passTenMinutes(t, db)
	require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context()))
	passTenMinutes(t, db)
	require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context()))
	mails = listed(t, outbox)
	require.Len(t, mails, 2, "about the one that came later, once")
	require.Contains(t, mails[0].Text, "GET /one-more")
}

func TestNotifier_TellsAgainWhatComesBack(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	outbox := mail.NewDirectory(t.TempDir(), "app@example.com")
	happen := func() {
		r.reporter.Unexpected("GET /", "", errors.New("no"))
		r.flush(t, db)
		passTenMinutes(t, db)
		require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context()))
	}
	happen()
	happen()
	require.Len(t, listed(t, outbox), 1)
	groups, err := NewReader(db).Errors(t.Context(), OpenErrors, 200)
	require.NoError(t, err)
	require.NoError(t, NewReader(db).Resolve(t.Context(), groups[0].ID, "ann"))
	happen()
	require.Len(t, listed(t, outbox), 2)
}

func TestNotifier_TellsATroubleOnceUntilItIsOver(t *testing.T) {
	t.Parallel()

	db := pgtest.New(t, migrations)
	outbox := mail.NewDirectory(t.TempDir(), "app@example.com")
	trouble := func() []Trouble {
		return []Trouble{{Name: "Check queues", Text: "critical of pg has waited for 7m", Since: time.Now().Add(-7 * time.Minute)}}
	}
	round := func(of func() []Trouble) {
		passTenMinutes(t, db)
		require.NoError(t, newNotifier(db, outbox, of).Round(t.Context()))
	}
	round(trouble)
	round(trouble)
	require.Len(t, listed(t, outbox), 1)
	require.Contains(t, listed(t, outbox)[0].Subject, "Check queues is in trouble")
	execute(t, db, `UPDATE ops_troubles SET seen_at = seen_at - interval '10 minutes'`)
	round(nil)
	round(trouble)
	require.Len(t, listed(t, outbox), 2)
}

func TestNotifier_TriesAgainWhenAMailCannotBeSent(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	r.reporter.Unexpected("GET /", "", errors.New("no"))
	r.flush(t, db)
	require.ErrorContains(t, newNotifier(db, brokenSender{}, nil).Round(t.Context()), "the mail server is away")
	outbox := mail.NewDirectory(t.TempDir(), "app@example.com")
	require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context()))
	require.Empty(t, listed(t, outbox), "not at once")
	execute(t, db, `UPDATE ops_mail SET sent_at = sent_at - interval '2 minutes'`)
	require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context()))
	require.Len(t, listed(t, outbox), 1)
}

func TestNotifier_StillTellsWhenTheClockWasSetBack(t *testing.T) {
	t.Parallel()

	db, r := pgtest.New(t, migrations), newRecorder(t, "web")
	execute(t, db, `UPDATE ops_mail SET sent_at = now() + interval '1 day'`)
	r.reporter.Unexpected("GET /", "", errors.New("no"))
	r.flush(t, db)
	outbox := mail.NewDirectory(t.TempDir(), "app@example.com")
	require.NoError(t, newNotifier(db, outbox, nil).Round(t.Context()))
	require.Len(t, listed(t, outbox), 1)
}

func TestNotifier_TellsAloneThatTheDatabaseIsAway(t *testing.T) {
	t.Parallel()

	db := pgtest.New(t, migrations)
	db.Close()
	outbox := mail.NewDirectory(t.TempDir(), "app@example.com")
	away := func() []Trouble {
		return []Trouble{{Name: "Check database", Text: "refused", Since: time.Now().Add(-time.Hour)}}
	}
	n := newNotifier(db, outbox, away)
	require.Error(t, n.Round(t.Context()), "this role leaves it to another one")
	n.options.Alone = true
	for range 3 {
		require.Error(t, n.Round(t.Context()), "it says that the database is away")
	}
	require.Len(t, listed(t, outbox), 1)
	require.Contains(t, listed(t, outbox)[0].Subject, "Check database is in trouble")

	n.aloneAt = n.aloneAt.Add(-mailPause)
	n.options.Troubles = func() []Trouble {
		return append(away(), Trouble{Name: "Check redis", Text: "refused", Since: time.Now()})
	}
	require.Error(t, n.Round(t.Context()))
	require.Len(t, listed(t, outbox), 2)
	require.NotContains(t, listed(t, outbox)[0].Text, "Check database", "it was told")
}

// Private

func newNotifier(db *pgxpool.Pool, sender mail.Sender, troubles func() []Trouble) *Notifier {
	if troubles == nil {
		troubles = func() []Trouble { return nil }
	}
	return NewNotifier(NotifierOptions{
		DB: db, To: "operator@example.com", Sender: sender, BaseURL: "https://app.example.com", Troubles: troubles,
		Log: slog.New(slog.DiscardHandler),
	})
}

func passTenMinutes(t *testing.T, db *pgxpool.Pool) {
	t.Helper()
	execute(t, db, `UPDATE ops_mail SET sent_at = sent_at - interval '10 minutes' - interval '1 second'`)
}

func listed(t *testing.T, outbox *mail.Directory) []mail.Stored {
	t.Helper()
	stored, err := outbox.List(100)
	require.NoError(t, err)
	for i := range stored {
		stored[i], err = outbox.Read(stored[i].Name)
		require.NoError(t, err)
	}
	return stored
}

type brokenSender struct{}

func (brokenSender) Send(context.Context, mail.Message) error {
	return errors.New("the mail server is away")
}
