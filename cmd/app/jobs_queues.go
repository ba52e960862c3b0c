package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
)

func newJobsQueuesCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "queues",
		Short: "Show how much work waits in each queue, and for how long",
		Long: fmt.Sprintf("Show how much work each queue holds by state, and for how long the oldest pending work has waited.\n"+
			"Counts stop at %d and are then shown as %[1]d+.", jobs.MostCounted),
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				queues, err := session.inspector.Queues(ctx)
				if failure := printQueues(c, queues); failure != nil {
					return failure
				}
				return err
			})
		},
	}
}

func newJobsPauseCommand(app application) *cobra.Command {
	return queueCommand(app, "pause", "Fetch no more work of a queue", (*inspect.Inspector).Pause)
}

func newJobsResumeCommand(app application) *cobra.Command {
	return queueCommand(app, "resume", "Fetch work of a paused queue again", (*inspect.Inspector).Resume)
}

func newJobsWorkersCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "Show the worker processes",
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				workers, err := session.inspector.Workers(ctx)
				if err != nil {
					return err
				}
				return printWorkers(c, workers)
			})
		},
	}
}

// Private

type queueAction func(inspector *inspect.Inspector, ctx context.Context, backend jobs.Backend, queue string) error

func queueCommand(app application, name, short string, do queueAction) *cobra.Command {
	return &cobra.Command{
		Use:   name + " BACKEND QUEUE",
		Short: short,
		Long: short + ". BACKEND is pg or redis, QUEUE a queue such as low. A pause lasts over\n" +
			"restarts and deploys, until the queue is resumed.",
		Example: fmt.Sprintf("  app jobs %s pg low", name),
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			backend, err := parseBackend(args[0])
			if err == nil {
				err = checkQueue(app, args[1])
			}
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				if err := do(session.inspector, ctx, backend, args[1]); err != nil {
					return err
				}
				result := map[string]any{"action": name, "backend": backend, "queue": args[1]}
				return printResult(c, fmt.Sprintf("%s: %s %s", name, backend, args[1]), result)
			})
		},
	}
}

func printQueues(c *cobra.Command, queues []inspect.Queue) error {
	rows := make([][]any, len(queues))
	for i, queue := range queues {
		paused := ""
		if queue.Paused {
			paused = "paused"
		}
		rows[i] = []any{queue.Backend, queue.Name}
		for _, state := range inspect.CountedStates {
			rows[i] = append(rows[i], counted(queue, state))
		}
		rows[i] = append(rows[i], queue.Oldest.Round(time.Millisecond), paused)
	}
	return printTable(c, queues, "BACKEND\tQUEUE\tPENDING\tSCHEDULED\tRUNNING\tRETRYING\tFAILED\tCANCELLED\tOLDEST\t", rows)
}

// counted returns a count, such as 7, or 10000+ when there are more.
func counted(queue inspect.Queue, state inspect.State) string {
	more := ""
	if slices.Contains(queue.More, state) {
		more = "+"
	}
	return fmt.Sprintf("%d%s", queue.Counts[state], more)
}

func printWorkers(c *cobra.Command, workers []jobs.Process) error {
	rows := make([][]any, len(workers))
	for i, worker := range workers {
		rows[i] = []any{
			worker.Backend, worker.Host, worker.PID, worker.Version, worker.State, worker.InHand, worker.Concurrency,
			ago(worker.StartedAt), ago(worker.BeatAt),
		}
	}
	return printTable(c, workers, "BACKEND\tHOST\tPID\tVERSION\tSTATE\tRUNNING\tAT MOST\tSTARTED\tHEARTBEAT", rows)
}
