package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
)

func newJobsEnqueueCommand(app application) *cobra.Command {
	return &cobra.Command{
		Use:   "enqueue KIND [ARGS]",
		Short: "Enqueue one job or task",
		Long: "Enqueue one job or task. ARGS are JSON and are checked before anything is stored.\n" +
			"A task goes through the outbox in PostgreSQL, so it is not lost while Redis is unavailable.",
		Example: `  app jobs enqueue KIND '{"some_field": 100001}'`,
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			payload := []byte("{}")
			if len(args) == 2 {
				payload = []byte(args[1])
			}
			return withJobs(c, app, func(ctx context.Context, session jobsSession) error {
				enqueued, err := session.enqueue(ctx, args[0], payload)
				if err != nil {
					return err
				}
				if !enqueued {
					line := "not enqueued: an equal " + args[0] + " is there already, and its kind is unique"
					return printResult(c, line, map[string]any{"duplicate": args[0]})
				}
				return printResult(c, "enqueued: "+args[0], map[string]any{"enqueued": args[0]})
			})
		},
	}
}

// Private

// enqueue reports false when the work is unique and an equal job exists.
func (s jobsSession) enqueue(ctx context.Context, kind string, payload []byte) (enqueued bool, err error) {
	handler, isJob := s.work.jobs.Find(kind)
	isTask := false
	if !isJob {
		handler, isTask = s.work.tasks.Find(kind)
	}
	if !isJob && !isTask {
		return false, fmt.Errorf("there is no kind of work called %q: there are %s", kind, s.work.kindNames())
	}
	if err := handler.CheckWritten(payload); err != nil {
		return false, err
	}
	if isTask && s.tasks.Disabled() {
		return false, fmt.Errorf("%s is a task, and there is no Redis to enqueue it in: set REDIS_URL", kind)
	}
	run := "manual:" + time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	deliver := func(context.Context) {}
	err = pgx.BeginFunc(ctx, s.db, func(tx pgx.Tx) (err error) {
		if isJob {
			enqueued, err = s.jobs.EnqueueRun(ctx, tx, handler, handler.Queue, payload, run)
			return err
		}
		enqueued = true // whether Redis has an equal one is known at the delivery
		deliver, err = s.tasks.EnqueueRun(ctx, tx, handler, handler.Queue, payload, run)
		return err
	})
	if err != nil {
		return false, err
	}
	deliver(ctx)
	return enqueued, nil
}

func (w work) kindNames() string {
	var names []string
	for _, handler := range w.kinds() {
		names = append(names, handler.Kind)
	}
	return strings.Join(names, ", ")
}
