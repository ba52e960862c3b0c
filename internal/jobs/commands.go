package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/postgres"
	"slipway/internal/telemetry"
)

// Command is what an operator asks of a running worker.
type Command string

// The commands.
const (
	QuietCommand Command = "quiet" // take no more work, as SIGTSTP does
	StopCommand  Command = "stop"  // end, as SIGTERM does
	StackCommand Command = "stack" // tell the stack of a running job or task
)

// CommandChannel is the channel of NOTIFY that tells a worker, by the id of its
// process, that there is a command for it.
const CommandChannel = "worker_commands"

// ErrNotRunning means that a worker does not run the job or task whose stack it was
// asked for.
var ErrNotRunning = errors.New("this worker does not run it")

// Private

const (
	// commandsEvery is how often a worker looks for commands by itself, where messages
	// of NOTIFY do not arrive.
	commandsEvery = 5 * time.Second
	// commandTimeout bounds the statements about commands.
	commandTimeout = 2 * time.Second
	// commandsKept is how long answers stay.
	commandsKept = time.Hour
)

// commands obeys the commands for one worker.
type commands struct {
	db       *pgxpool.Pool
	process  string
	signal   func(syscall.Signal) error // sends a signal to this process
	log      *slog.Logger
	looks    *telemetry.LoopLog
	listens  *telemetry.LoopLog
	wake     chan struct{}
	prunedAt time.Time
}

func newCommands(db *pgxpool.Pool, process string, signal func(syscall.Signal) error, log *slog.Logger) *commands {
	if signal == nil {
		signal = func(s syscall.Signal) error { return syscall.Kill(os.Getpid(), s) }
	}
	return &commands{
		db: db, process: process, signal: signal, log: log, wake: make(chan struct{}, 1),
		looks: telemetry.NewLoopLog(log, "Worker could not look for commands", "Worker looks for commands again"),
		listens: telemetry.NewLoopLog(log,
			"Worker does not hear of commands at once, but within seconds", "Worker hears of commands at once again"),
	}
}

// run obeys commands until ctx ends.
func (c *commands) run(ctx context.Context) {
	var listening sync.WaitGroup
	listening.Go(func() { c.listen(ctx) })
	defer listening.Wait()
	ticker := time.NewTicker(commandsEvery)
	defer ticker.Stop()
	for {
		switch err := c.obey(ctx); {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.looks.Failed(ctx, err)
		default:
			c.looks.Worked(ctx)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-c.wake:
		}
	}
}

func (c *commands) listen(ctx context.Context) {
	wake := func() {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	listener := postgres.NewListener(c.db, CommandChannel)
	for {
		err := listener.Listen(ctx, func() { c.listens.Worked(ctx); wake() }, func(message *pgconn.Notification) {
			if message.Payload == c.process {
				wake()
			}
		})
		if ctx.Err() != nil {
			return
		}
		c.listens.Failed(ctx, err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(commandsEvery):
		}
	}
}

// openCommand is a command without an answer.
type openCommand struct {
	ID       string
	Command  Command
	Argument string
}

// obey carries out the open commands and stores their answers. Once a minute, it also
// deletes old answers.
func (c *commands) obey(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	rows, err := c.db.Query(ctx, `
		SELECT id::text, command, argument
		FROM worker_commands
		WHERE process_id = $1 AND answered_at IS NULL AND asked_at > now() - interval '1 minute'
		ORDER BY asked_at
		LIMIT 20`, c.process)
	if err != nil {
		return fmt.Errorf("read the commands for this worker: %w", err)
	}
	open, err := pgx.CollectRows(rows, pgx.RowToStructByPos[openCommand])
	if err != nil {
		return fmt.Errorf("read the commands for this worker: %w", err)
	}
	for _, command := range open {
		if err := c.carryOut(ctx, command); err != nil {
			return err
		}
	}
	if time.Since(c.prunedAt) < time.Minute {
		return nil
	}
	c.prunedAt = time.Now()
	_, err = c.db.Exec(ctx, `
		DELETE FROM worker_commands
		WHERE ctid = ANY (ARRAY(SELECT ctid FROM worker_commands WHERE asked_at < now() - $1::interval LIMIT 1000))`, commandsKept)
	if err != nil {
		return fmt.Errorf("delete old commands: %w", err)
	}
	return nil
}

// carryOut answers a command and then does it: a worker that stops writes nothing more.
func (c *commands) carryOut(ctx context.Context, command openCommand) error {
	var signal syscall.Signal
	answer, problem := "", ""
	switch command.Command {
	case QuietCommand:
		signal = syscall.SIGTSTP
	case StopCommand:
		signal = syscall.SIGTERM
	case StackCommand:
		if answer = stackOf(command.Argument); answer == "" {
			problem = ErrNotRunning.Error()
		}
	default:
		problem = fmt.Sprintf("this release does not know the command %q", command.Command)
	}
	answered, err := c.db.Exec(ctx, `
		UPDATE worker_commands SET answered_at = now(), answer = $2, error = nullif($3, '') WHERE id = $1::uuid AND answered_at IS NULL`,
		command.ID, answer, problem)
	if err != nil {
		return fmt.Errorf("answer a command: %w", err)
	}
	if signal == 0 || answered.RowsAffected() == 0 { // nobody waits for it any more
		return nil
	}
	c.log.InfoContext(ctx, "Worker obeys an operator", "command", string(command.Command))
	if err := c.signal(signal); err != nil {
		return fmt.Errorf("send %s to this process: %w", signal, err)
	}
	return nil
}
