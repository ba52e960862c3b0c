package inspect

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
)

// The reasons for which a worker does not obey.
var (
	// ErrGone means that no worker process with the id sends heartbeats.
	ErrGone = errors.New("this worker process is gone: its heartbeat is missing")
	// ErrNoAnswer means that a worker did not obey in time. It will not do so later.
	ErrNoAnswer = errors.New("the worker did not answer in time, and will not obey this command later")
)

// QuietWorker makes a worker take no more work and finish what runs, as SIGTSTP does. Only a
// new process takes work again.
func (i *Inspector) QuietWorker(ctx context.Context, processID string) error {
	_, err := i.ask(ctx, []string{processID}, jobs.QuietCommand, "")
	return err
}

// StopWorker ends a worker as SIGTERM does. What starts it, such as its container, may start
// it again.
func (i *Inspector) StopWorker(ctx context.Context, processID string) error {
	_, err := i.ask(ctx, []string{processID}, jobs.StopCommand, "")
	return err
}

// Stack returns the stacks of the goroutines of a running job or task: functions and
// lines, no values. It returns ErrState when it does not run.
func (i *Inspector) Stack(ctx context.Context, id ID) (string, error) {
	processes, err := i.processesOf(ctx, id)
	if err != nil {
		return "", err
	}
	if len(processes) == 0 {
		return "", fmt.Errorf("show the stack of %s, which no worker runs now: %w", id, ErrState)
	}
	stack, err := i.ask(ctx, processes, jobs.StackCommand, id.String())
	if err == nil && stack == "" {
		return "", fmt.Errorf("show the stack of %s, which no worker runs now: %w", id, ErrState)
	}
	return stack, err
}

// Private

const (
	answerWithin = 3 * time.Second
	answerPoll   = 50 * time.Millisecond
)

// processesOf returns the workers that may run the work. A job names its worker. A task
// does not, so every worker of tasks is asked.
func (i *Inspector) processesOf(ctx context.Context, id ID) ([]string, error) {
	query, argument := `
		SELECT attempted_by[array_upper(attempted_by, 1)]
		FROM river_job
		WHERE id = $1 AND state = 'running' AND array_length(attempted_by, 1) > 0`, any(id.Job)
	if id.Backend == jobs.Redis {
		query, argument = `
			SELECT id FROM job_processes WHERE backend = 'redis' AND beat_at > now() - $1::interval ORDER BY id LIMIT 100`, any(jobs.DeadAfter)
	}
	rows, err := i.db.Query(ctx, query, argument)
	if err != nil {
		return nil, fmt.Errorf("find the worker of %s: %w", id, err)
	}
	processes, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("find the worker of %s: %w", id, err)
	}
	return processes, nil
}

// ask sends a command to workers, and returns the first answer that is not empty. The
// answer is empty when all of them answered so.
func (i *Inspector) ask(ctx context.Context, processes []string, command jobs.Command, argument string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	rows, err := i.db.Query(ctx, `
		WITH asked AS (
			INSERT INTO worker_commands (process_id, command, argument)
			SELECT id, $2, $3 FROM job_processes WHERE id = ANY($1) AND beat_at > now() - $4::interval
			RETURNING id, process_id
		)
		SELECT id::text, pg_notify($5, process_id)::text FROM asked`, processes, string(command), argument, jobs.DeadAfter, jobs.CommandChannel)
	if err != nil {
		return "", fmt.Errorf("ask a worker: %w", err)
	}
	ids, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (id string, err error) {
		return id, row.Scan(&id, nil)
	})
	if err != nil {
		return "", fmt.Errorf("ask a worker: %w", err)
	}
	if len(ids) == 0 {
		return "", ErrGone
	}
	return i.await(ctx, ids)
}

// await polls for the answers. It withdraws commands that nobody answers.
func (i *Inspector) await(ctx context.Context, ids []string) (string, error) {
	poll := time.NewTicker(answerPoll)
	defer poll.Stop()
	for {
		answer, open, err := i.answers(ctx, ids)
		switch {
		case err == nil && (answer != "" || open == 0):
			return answer, nil
		case err != nil && ctx.Err() == nil:
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", i.withdraw(ctx, ids)
		case <-poll.C:
		}
	}
}

func (i *Inspector) answers(ctx context.Context, ids []string) (answer string, open int, err error) {
	var problem string
	err = i.db.QueryRow(ctx, `
		SELECT coalesce(max(answer), ''), count(*) FILTER (WHERE answered_at IS NULL),
		       coalesce(max(error) FILTER (WHERE error <> $2), '')
		FROM worker_commands
		WHERE id = ANY($1::uuid[])`, ids, jobs.ErrNotRunning.Error()).Scan(&answer, &open, &problem)
	if err != nil {
		return "", 0, fmt.Errorf("read the answer of a worker: %w", err)
	}
	if problem != "" && open == 0 && answer == "" {
		return "", 0, errors.New(problem)
	}
	return answer, open, nil
}

func (i *Inspector) withdraw(ctx context.Context, ids []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_, err := i.db.Exec(ctx, `
		UPDATE worker_commands SET answered_at = now(), error = $2 WHERE id = ANY($1::uuid[]) AND answered_at IS NULL`,
		ids, ErrNoAnswer.Error())
	if err != nil {
		return fmt.Errorf("withdraw a command: %w", err)
	}
	return ErrNoAnswer
}
