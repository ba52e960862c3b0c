package jobstest

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// EnqueuedTasks returns the args of the tasks of the kind of T that wait: those in
// Redis in the order in which they would run, and then those that are in the outbox
// in db alone. Tasks of one call of Enqueue are in any order.
func EnqueuedTasks[T jobs.Args](t testing.TB, db *pgxpool.Pool, tasks *jobs.Tasks) (all []T) {
	t.Helper()
	var kind T
	declaration := kind.Declare()
	queues := jobs.StandardQueues
	if declaration.Queue != "" {
		queues = queues.And(declaration.Queue)
	}
	for _, task := range waitingTasks(t, db, tasks, queues) {
		if task.Kind == declaration.Kind {
			var args T
			require.NoError(t, json.Unmarshal(task.Args, &args))
			all = append(all, args)
		}
	}
	return all
}

// DrainTasks runs all tasks that are due, also those in the outbox in db, and those
// that they enqueue, one after the other, until none is left. It fails the test when
// a task fails. It returns the kinds in the order in which they ran. Tasks have no
// order across their queues.
func DrainTasks(t testing.TB, db *pgxpool.Pool, tasks *jobs.Tasks, handlers jobs.Handlers) (kinds []string) {
	t.Helper()
	for {
		all := waitingTasks(t, db, tasks, handlers.Queues())
		next := slices.IndexFunc(all, func(task waitingTask) bool {
			_, known := handlers.Find(task.Kind)
			return known && !task.failed && !task.NotBefore.After(time.Now())
		})
		if next < 0 {
			return kinds
		}
		task := all[next]
		task.take(t, db, tasks)
		handler, _ := handlers.Find(task.Kind)
		run := jobs.Run{
			Backend: jobs.Redis, ID: task.ID, Kind: task.Kind, Queue: jobs.Queue(task.Queue), Attempt: 1, EnqueuedAt: time.Now(),
		}
		require.NoError(t, handler.Perform(t.Context(), run, task.Args), "task %s (%s)", task.ID, task.Kind)
		kinds = append(kinds, task.Kind)
	}
}

// Private

// waitingTask is a task in Redis or in the outbox.
type waitingTask struct {
	taskqueue.Message
	failed bool // it waits for another attempt
}

func waitingTasks(t testing.TB, db *pgxpool.Pool, tasks *jobs.Tasks, queues jobs.Queues) (all []waitingTask) {
	t.Helper()
	if inspector := tasks.Inspector(db, nil); inspector != nil {
		for _, queue := range queues.Names() {
			pending := listTasks(t, inspector, queue, taskqueue.Pending)
			slices.Reverse(pending) // the newest was the first
			all = slices.Concat(all, pending,
				listTasks(t, inspector, queue, taskqueue.Scheduled), listTasks(t, inspector, queue, taskqueue.Retry))
		}
	}
	for _, message := range outbox(t, db) {
		if !slices.ContainsFunc(all, func(task waitingTask) bool { return task.ID == message.ID }) {
			all = append(all, waitingTask{Message: message})
		}
	}
	return all
}

func listTasks(t testing.TB, inspector *taskqueue.Inspector, queue string, state taskqueue.State) (all []waitingTask) {
	t.Helper()
	for page := (taskqueue.TaskPage{More: true}); page.More; {
		var err error
		page, err = inspector.List(t.Context(), queue, state, page.Next, 1000)
		require.NoError(t, err)
		for _, task := range page.Tasks {
			message := taskqueue.Message{ID: task.ID, Kind: task.Kind, Queue: task.Queue, Args: task.Args}
			if state == taskqueue.Scheduled {
				message.NotBefore = task.NextProcessAt
			}
			all = append(all, waitingTask{message, state == taskqueue.Retry})
		}
	}
	return all
}

// outbox returns the durable tasks whose outbox jobs have not ended.
func outbox(t testing.TB, db *pgxpool.Pool) []taskqueue.Message {
	t.Helper()
	rows, err := db.Query(t.Context(), `
		SELECT args->'task' FROM river_job
		WHERE kind = $1 AND state IN ('available', 'scheduled', 'retryable')
		ORDER BY id`, jobs.OutboxKind)
	require.NoError(t, err)
	messages, err := pgx.CollectRows(rows, pgx.RowTo[taskqueue.Message])
	require.NoError(t, err)
	return messages
}

// take removes the task from Redis, and ends its outbox job.
func (w waitingTask) take(t testing.TB, db *pgxpool.Pool, tasks *jobs.Tasks) {
	t.Helper()
	if inspector := tasks.Inspector(db, nil); inspector != nil {
		require.NoError(t, inspector.Delete(t.Context(), w.Queue, w.ID))
	}
	_, err := db.Exec(t.Context(), `
		UPDATE river_job SET state = 'completed', attempt = 1, attempted_at = now(), finalized_at = now()
		WHERE kind = $1 AND args->'task'->>'id' = $2`, jobs.OutboxKind, w.ID)
	require.NoError(t, err)
}
