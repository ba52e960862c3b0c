package main

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/cache"
	"slipway/internal/config"
	"slipway/internal/jobs"
	"slipway/internal/live"
	"slipway/internal/mail"
)

// testApplication is the application of the runtime's own tests: a board on
// which visitors leave notes. It is the smallest one that needs each service of
// the runtime. It has no sample data.
func testApplication() application {
	settings := &testSettings{}
	return application{
		announcement: "The board is open at %[1]s",
		settings:     settings,
		migrations:   testFiles("migrations"),
		recurring:    testFile("recurring.yml"),
		work: func(b *backends) (work, error) {
			sender, err := b.mailSender("The board <board@app.example>")
			if err != nil {
				return work{}, err
			}
			board := &board{b}
			return work{jobs: board.jobs(sender, settings.SlowWork), tasks: board.tasks()}, nil
		},
		pages: func(b *backends, hub *live.Hub) (pages, error) {
			return newTestPages(b, &board{b}, hub, settings)
		},
	}
}

// testSettings are the environment variables of the test application.
type testSettings struct {
	SlowWork time.Duration `env:"SLOW_WORK" envDefault:"3s" roles:"web,worker-pg" min:"1ms" max:"1h" example:"3s" help:"time of slow work"`
}

// Check reports nothing: every value within the bounds can be used.
func (*testSettings) Check(config.Config, *config.Checker) {}

// confirmNote is a job that sends a mail and marks a note as confirmed.
type confirmNote struct {
	NoteID int64 `json:"note_id"`
}

func (confirmNote) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "confirm_note", Queue: jobs.Critical}
}

// exportNotes is a job that takes SLOW_WORK, or until it is stopped.
type exportNotes struct{}

func (exportNotes) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "export_notes", Queue: jobs.Default, Timeout: time.Hour}
}

// forgetOldNotes is a job that runs on a schedule.
type forgetOldNotes struct{}

func (forgetOldNotes) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "forget_old_notes", Queue: jobs.Low}
}

// broadcastNotes is a transient task that sends the number of notes to open
// pages.
type broadcastNotes struct{}

func (broadcastNotes) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "broadcast_notes", Queue: jobs.Critical, Attempts: 4, Backoff: jobs.Quick}
}

// archiveNote is a durable task.
type archiveNote struct {
	NoteID int64 `json:"note_id"`
}

func (archiveNote) Declare() jobs.Declaration {
	return jobs.Declaration{Kind: "archive_note", Queue: jobs.Critical, Durable: true}
}

// board is the domain of the test application.
type board struct{ *backends }

func (b *board) jobs(sender mail.Sender, slowWork time.Duration) jobs.Handlers {
	return jobs.Handlers{
		jobs.Handle(func(ctx context.Context, job confirmNote) error {
			if err := sender.Send(ctx, mailAbout(job.NoteID)); err != nil {
				return err
			}
			_, err := b.db.Exec(ctx, `UPDATE notes SET confirmed_at = now() WHERE id = $1`, job.NoteID)
			return err
		}),
		jobs.Handle(func(ctx context.Context, _ exportNotes) error { return wait(ctx, slowWork) }),
		jobs.Handle(func(ctx context.Context, _ forgetOldNotes) error {
			_, err := b.db.Exec(ctx, `DELETE FROM notes WHERE archived_at < now() - interval '1 year'`)
			return err
		}),
	}
}

func (b *board) tasks() jobs.Handlers {
	return jobs.Handlers{
		jobs.Handle(func(ctx context.Context, _ broadcastNotes) error {
			var count int64
			if err := b.db.QueryRow(ctx, `SELECT count(*) FROM notes`).Scan(&count); err != nil {
				return err
			}
			b.publisher.Publish(ctx, live.Fragment{Topics: []string{notesTopic}, HTML: fmt.Sprintf(`<b id="note-count">%d notes</b>`, count)})
			return nil
		}),
		jobs.Handle(func(ctx context.Context, task archiveNote) error {
			_, err := b.db.Exec(ctx, `UPDATE notes SET archived_at = now() WHERE id = $1`, task.NoteID)
			return err
		}),
	}
}

// add stores a note, a job and a durable task in one transaction, and enqueues
// a transient task after it. A second call with the same key stores no second note.
func (b *board) add(ctx context.Context, key, body string) error {
	var deliver func(context.Context)
	err := pgx.BeginFunc(ctx, b.db, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, `
			INSERT INTO notes (key, body) VALUES ($1, $2)
			ON CONFLICT (key) DO UPDATE SET body = excluded.body
			RETURNING id`, key, body).Scan(&id)
		if err != nil {
			return fmt.Errorf("insert note: %w", err)
		}
		if err := b.backends.jobs.Enqueue(ctx, tx, confirmNote{NoteID: id}); err != nil {
			return err
		}
		deliver, err = b.backends.tasks.EnqueueTx(ctx, tx, archiveNote{NoteID: id})
		return err
	})
	if err != nil {
		return err
	}
	deliver(ctx)
	b.backends.tasks.Enqueue(ctx, broadcastNotes{})
	return nil
}

func (b *board) title(ctx context.Context) (title string, err error) {
	err = b.db.QueryRow(ctx, `SELECT title FROM boards`).Scan(&title)
	return title, err
}

// motto is the same for all visitors, so it is cached.
func (b *board) motto(ctx context.Context) (string, error) {
	return mottos.Fetch(ctx, b.cache, "motto", func(context.Context) (string, error) { return "Be brief.", nil })
}

// Private

var mottos = cache.Kind[string]{Name: "motto", Version: 1, Life: time.Minute}

const notesTopic = "notes"

func mailAbout(noteID int64) mail.Message {
	return mail.Message{
		ID: fmt.Sprintf("note-%d@app.example", noteID), To: "ada@app.example",
		Subject: "Your note is on the board", Text: "Thank you.", HTML: "<p>Thank you.",
	}
}

// wait returns after a pause, or with an error when the context ends first.
func wait(ctx context.Context, pause time.Duration) error {
	select {
	case <-time.After(pause):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

//go:embed testdata/testapp
var embedded embed.FS

func testFile(name string) []byte {
	content, err := fs.ReadFile(embedded, "testdata/testapp/"+name)
	if err != nil {
		panic(err) // the file is embedded
	}
	return content
}

func testFiles(directory string) fs.FS {
	files, err := fs.Sub(embedded, "testdata/testapp/"+directory)
	if err != nil {
		panic(err) // the directory is embedded
	}
	return files
}
