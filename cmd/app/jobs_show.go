package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"slipway/internal/jobs"
	"slipway/internal/jobs/inspect"
	"slipway/internal/jobs/recurring"
	"slipway/internal/shop"
)

// Private

// jobsFilter are the flags that choose work.
type jobsFilter struct{ backend, queue, kind, state string }

func (f *jobsFilter) addTo(command *cobra.Command) {
	command.Flags().StringVar(&f.backend, "backend", "", "pg or redis; default both")
	command.Flags().StringVar(&f.queue, "queue", "", "critical, default or low; default all")
	command.Flags().StringVar(&f.kind, "kind", "", "the kind of work, such as send_order_confirmation; default all")
	command.Flags().StringVar(&f.state, "state", "", "pending, scheduled, running, retrying, failed, cancelled or done; default all")
}

func (f *jobsFilter) read() (inspect.Filter, error) {
	filter := inspect.Filter{Backend: jobs.Backend(f.backend), Queue: f.queue, Kind: f.kind, State: inspect.State(f.state)}
	if f.backend != "" {
		if _, err := parseBackend(f.backend); err != nil {
			return inspect.Filter{}, err
		}
	}
	if f.queue != "" {
		if err := checkQueue(f.queue); err != nil {
			return inspect.Filter{}, err
		}
	}
	if f.state != "" && !slices.Contains(inspect.States, filter.State) {
		return inspect.Filter{}, fmt.Errorf("there is no state %q: it is one of %s", f.state, joined(inspect.States))
	}
	return filter, nil
}

func newJobsListCommand() *cobra.Command {
	filter := &jobsFilter{}
	var limit int
	command := &cobra.Command{
		Use:     "list",
		Short:   "List jobs and tasks, the newest first",
		Long:    "List jobs and tasks, the newest first. Secrets among their args are masked.",
		Example: "  app jobs list --state failed\n  app jobs list --backend redis --queue low --json",
		RunE: func(c *cobra.Command, _ []string) error {
			chosen, err := filter.read()
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			if limit < 1 || limit > inspect.PageSize {
				return &usageError{err: fmt.Errorf("--limit must be from 1 to %d", inspect.PageSize), usage: c.UsageString()}
			}
			chosen.Limit = limit
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				items, err := office.inspector.List(ctx, chosen)
				if said := printItems(c, items); said != nil {
					return said
				}
				return err
			})
		},
	}
	filter.addTo(command)
	command.Flags().IntVar(&limit, "limit", 50, fmt.Sprintf("the most that are listed; at most %d", inspect.PageSize))
	return command
}

func newJobsShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Show everything about one job or task",
		Example: "  app jobs show pg:123",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			id, err := inspect.ParseID(args[0])
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				item, err := office.inspector.Show(ctx, id)
				if err != nil {
					return err
				}
				return printJSON(c, item)
			})
		},
	}
}

func newJobsPauseCommand() *cobra.Command {
	return queueCommand("pause", "Take no more work of a queue", (*inspect.Inspector).Pause)
}

func newJobsResumeCommand() *cobra.Command {
	return queueCommand("resume", "Take work of a queue again", (*inspect.Inspector).Resume)
}

func queueCommand(name, short string, do func(*inspect.Inspector, context.Context, jobs.Backend, string) error) *cobra.Command {
	return &cobra.Command{
		Use:     name + " BACKEND QUEUE",
		Short:   short,
		Long:    short + ". BACKEND is pg or redis, QUEUE critical, default or low. A pause holds over\nrestarts and deploys, until it is resumed.",
		Example: fmt.Sprintf("  app jobs %s pg low", name),
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			backend, err := parseBackend(args[0])
			if err == nil {
				err = checkQueue(args[1])
			}
			if err != nil {
				return &usageError{err: err, usage: c.UsageString()}
			}
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				if err := do(office.inspector, ctx, backend, args[1]); err != nil {
					return err
				}
				return say(c, fmt.Sprintf("%s: %s %s", name, backend, args[1]), map[string]any{"action": name, "backend": backend, "queue": args[1]})
			})
		},
	}
}

func newJobsQueuesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "queues",
		Short: "Show what waits in which queue, and for how long",
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				queues, err := office.inspector.Queues(ctx)
				rows := make([][]any, len(queues))
				for i, queue := range queues {
					paused := ""
					if queue.Paused {
						paused = "paused"
					}
					counts := queue.Counts
					rows[i] = []any{queue.Backend, queue.Name, counts[inspect.Pending], counts[inspect.Scheduled], counts[inspect.Running], counts[inspect.Retrying], counts[inspect.Failed], counts[inspect.Cancelled], queue.Oldest.Round(time.Millisecond), paused}
				}
				if said := printTable(c, queues, "BACKEND\tQUEUE\tPENDING\tSCHEDULED\tRUNNING\tRETRYING\tFAILED\tCANCELLED\tOLDEST\t", rows); said != nil {
					return said
				}
				return err
			})
		},
	}
}

func newJobsWorkersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "workers",
		Short: "Show the processes that work",
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				workers, err := office.inspector.Workers(ctx)
				if err != nil {
					return err
				}
				rows := make([][]any, len(workers))
				for i, worker := range workers {
					rows[i] = []any{worker.Backend, worker.Host, worker.PID, worker.Version, worker.State, worker.InHand, worker.Concurrency, ago(worker.StartedAt), ago(worker.BeatAt)}
				}
				return printTable(c, workers, "BACKEND\tHOST\tPID\tVERSION\tSTATE\tIN HAND\tAT MOST\tSTARTED\tBEAT", rows)
			})
		},
	}
}

func newJobsRecurringCommand() *cobra.Command {
	command := &cobra.Command{
		Use:     "recurring",
		Short:   "Show the work that is done by the clock",
		Long:    "Show the work of config/recurring.yml: when it ran and when it will.",
		Example: "  app jobs recurring\n  app jobs recurring run forget_old_carts",
		RunE: func(c *cobra.Command, _ []string) error {
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				all, err := office.inspector.Recurring(ctx)
				if err != nil {
					return err
				}
				rows := make([][]any, len(all))
				for i, one := range all {
					rows[i] = []any{one.Key, one.Backend, one.Schedule, at(one.Last), at(one.Next), one.Runs, one.Skipped, map[bool]string{false: "off"}[one.Enabled]}
				}
				return printTable(c, all, "KEY\tBACKEND\tSCHEDULE\tLAST\tNEXT\tRUNS\tSKIPPED\t", rows)
			})
		},
	}
	command.AddCommand(&cobra.Command{
		Use:     "run KEY",
		Short:   "Run recurring work now, besides its schedule",
		Example: "  app jobs recurring run forget_old_carts",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				work, err := recurringWork(office.store)
				if err != nil {
					return err
				}
				if err := recurring.NewScheduler(office.db, office.queue, office.tasks, work, office.log).RunNow(ctx, args[0]); err != nil {
					return err
				}
				return say(c, "enqueued: "+args[0], map[string]any{"enqueued": args[0]})
			})
		},
	})
	return command
}

func newJobsEnqueueCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "enqueue KIND [ARGS]",
		Short:   "Enqueue one job or task",
		Long:    "Enqueue one job or task. ARGS are JSON and are checked before anything is stored.\nA task is carried through PostgreSQL, so it is not lost while Redis is away.",
		Example: `  app jobs enqueue send_order_confirmation '{"order_id": 100001}'`,
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			payload := []byte("{}")
			if len(args) == 2 {
				payload = []byte(args[1])
			}
			return withJobs(c, func(ctx context.Context, office jobsOffice) error {
				return enqueueOne(ctx, c, office, args[0], payload)
			})
		},
	}
}

func enqueueOne(ctx context.Context, c *cobra.Command, office jobsOffice, kind string, payload []byte) error {
	handler, isJob := office.store.Jobs().Find(kind)
	isTask := false
	if !isJob {
		handler, isTask = taskKinds(office.store).Find(kind)
	}
	if !isJob && !isTask {
		return fmt.Errorf("there is no kind of work called %q: %s", kind, kindsOf(office.store))
	}
	if err := handler.CheckWritten(payload); err != nil {
		return err
	}
	if isTask && office.tasks.Inspector() == nil {
		return fmt.Errorf("%s is a task, and there is no Redis to enqueue it in: set REDIS_URL", kind)
	}
	run := "manual:" + time.Now().UTC().Format("2006-01-02T15:04:05.000000Z")
	deliver := func(context.Context) {}
	err := pgx.BeginFunc(ctx, office.db, func(tx pgx.Tx) (err error) {
		if isJob {
			return office.queue.EnqueueRun(ctx, tx, handler, handler.Queue, payload, run)
		}
		deliver, err = office.tasks.EnqueueRun(ctx, tx, handler, handler.Queue, payload, run)
		return err
	})
	if err != nil {
		return err
	}
	deliver(ctx)
	return say(c, "enqueued: "+kind, map[string]any{"enqueued": kind})
}

func newJobsCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Check the declarations of all work and config/recurring.yml",
		Long:  "Check the declarations of all work and config/recurring.yml as it was when this was\nbuilt. It needs no backend. Exit code 1 names every entry that cannot be used.",
		RunE: func(c *cobra.Command, _ []string) error {
			store := shop.New(shop.Options{Registry: prometheus.NewRegistry()})
			work, err := recurringWork(store)
			if err != nil {
				return err
			}
			if err := checkKinds(store); err != nil {
				return err
			}
			counts := map[string]any{"jobs": len(store.Jobs()), "tasks": len(taskKinds(store)), "recurring": len(work)}
			return say(c, fmt.Sprintf("%d kinds of jobs, %d kinds of tasks, %d recurring: all can be used", counts["jobs"], counts["tasks"], counts["recurring"]), counts)
		},
	}
}

// checkKinds finds declarations that cannot be meant.
func checkKinds(store *shop.Shop) error {
	seen := map[string]bool{}
	for _, kind := range append(store.Jobs(), taskKinds(store)...) {
		switch {
		case kind.Kind == "":
			return fmt.Errorf("a kind of work has no name")
		case seen[kind.Kind]:
			return fmt.Errorf("%s is declared twice", kind.Kind)
		case !slices.Contains(jobs.Queues, kind.Queue):
			return fmt.Errorf("%s: there is no queue %q", kind.Kind, kind.Queue)
		}
		seen[kind.Kind] = true
	}
	return nil
}

func kindsOf(store *shop.Shop) string {
	var kinds []string
	for _, kind := range append(store.Jobs(), taskKinds(store)...) {
		kinds = append(kinds, kind.Kind)
	}
	return "there are " + strings.Join(kinds, ", ")
}

func checkQueue(name string) error {
	if !slices.Contains(jobs.Queues, jobs.Queue(name)) {
		return fmt.Errorf("there is no queue %q: it is one of %s", name, joined(jobs.Queues))
	}
	return nil
}

func parseBackend(text string) (jobs.Backend, error) {
	if backend := jobs.Backend(text); backend == jobs.PG || backend == jobs.Redis {
		return backend, nil
	}
	return "", fmt.Errorf("there is no backend %q: it is pg or redis", text)
}

func printItems(c *cobra.Command, items []inspect.Item) error {
	rows := make([][]any, len(items))
	for i, item := range items {
		rows[i] = []any{item.ID, item.State, item.Queue, item.Kind, fmt.Sprintf("%d/%d", item.Attempt, item.MaxAttempts), short(string(item.Args)), short(item.Error)}
	}
	return printTable(c, items, "ID\tSTATE\tQUEUE\tKIND\tATTEMPT\tARGS\tERROR", rows)
}

// printTable prints rows for people, or all as JSON.
func printTable(c *cobra.Command, all any, heading string, rows [][]any) error {
	if asJSON(c) {
		return printJSON(c, all)
	}
	table := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, heading)
	for _, row := range rows {
		printRow(table, row)
	}
	return table.Flush()
}

func printRow(w io.Writer, row []any) {
	cells := make([]string, len(row))
	for i, cell := range row {
		cells[i] = fmt.Sprint(cell)
	}
	fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t"))
}

// say prints a line for people, or value as JSON.
func say(c *cobra.Command, line string, value any) error {
	if asJSON(c) {
		return printJSON(c, value)
	}
	_, err := fmt.Fprintln(c.OutOrStdout(), line)
	return err
}

func asJSON(c *cobra.Command) bool {
	is, err := c.Flags().GetBool("json")
	return err == nil && is
}

func printJSON(c *cobra.Command, value any) error {
	encoder := json.NewEncoder(c.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// short keeps a cell on one line.
func short(text string) string {
	const most = 60
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

func ago(t time.Time) string { return time.Since(t).Round(time.Second).String() + " ago" }

func at(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

func joined[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = string(one)
	}
	return strings.Join(words, ", ")
}
