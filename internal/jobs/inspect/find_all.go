package inspect

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"slipway/internal/jobs"
	"slipway/internal/jobs/taskqueue"
)

// FindAll returns jobs and tasks as a list shows them, each once and in the order of
// ids. It leaves out those that are gone. It reads them together, so that it takes a
// few statements for any number.
func (i *Inspector) FindAll(ctx context.Context, ids []ID) ([]Item, error) {
	var ofJobs []int64
	ofQueues := map[string][]string{}
	for _, id := range ids {
		if id.Backend == jobs.PG {
			ofJobs = append(ofJobs, id.Job)
		} else {
			ofQueues[id.Queue] = append(ofQueues[id.Queue], id.Task)
		}
	}
	found := map[ID]Item{}
	stored, err := i.selectJobs(ctx, listedColumns, ofJobs)
	if err != nil {
		return nil, err
	}
	for _, job := range stored {
		item := i.itemOfListedJob(job)
		found[item.ID] = item
	}
	for queue, tasks := range ofQueues {
		if err := i.findTasks(ctx, queue, tasks, found); err != nil {
			return nil, err
		}
	}
	var items []Item
	for _, id := range ids {
		if item, there := found[id]; there {
			items = append(items, item)
			delete(found, id)
		}
	}
	return items, nil
}

// Private

// findTasks adds tasks of one queue: those in the archive, else those in Redis, else
// those in the outbox.
func (i *Inspector) findTasks(ctx context.Context, queue string, tasks []string, found map[ID]Item) error {
	archived, err := i.failed.FindAll(ctx, queue, tasks)
	if err != nil {
		return err
	}
	for _, task := range archived {
		item := i.itemOfFailed(withoutLargeArgs(task))
		found[item.ID] = item
	}
	if tasks = missing(found, queue, tasks); i.tasks != nil && len(tasks) > 0 {
		inRedis, err := i.tasks.FindAll(ctx, queue, tasks)
		if err != nil {
			return fmt.Errorf("read tasks: %w", err)
		}
		for _, task := range inRedis {
			item := i.itemOfTask(task, stateOfTask(task))
			found[item.ID] = item
		}
	}
	return i.findInOutbox(ctx, queue, missing(found, queue, tasks), found)
}

func (i *Inspector) findInOutbox(ctx context.Context, queue string, tasks []string, found map[ID]Item) error {
	if len(tasks) == 0 {
		return nil
	}
	rows, err := i.db.Query(ctx, `
		SELECT waiting.*
		FROM unnest($1::text[]) AS task (id)
		CROSS JOIN LATERAL (
			SELECT `+jobColumns+`
			FROM river_job
			WHERE `+relays("task.id", "$2")+` AND state = ANY($3::text[]::river_job_state[])
			ORDER BY river_job.id
			LIMIT 1
		) AS waiting`, tasks, queue, unrelayed)
	if err != nil {
		return fmt.Errorf("read outbox jobs: %w", err)
	}
	waiting, err := pgx.CollectRows(rows, scanJob)
	if err != nil {
		return fmt.Errorf("read outbox jobs: %w", err)
	}
	for _, job := range waiting {
		task, err := taskInOutbox(job)
		if err != nil {
			return err
		}
		item := i.itemOfOutbox(job, task)
		found[item.ID] = item
	}
	return nil
}

// missing are the tasks that were not found yet.
func missing(found map[ID]Item, queue string, tasks []string) []string {
	var rest []string
	for _, task := range tasks {
		if _, there := found[ID{Backend: jobs.Redis, Queue: queue, Task: task}]; !there {
			rest = append(rest, task)
		}
	}
	return rest
}

// withoutLargeArgs is a failed task as a list shows it.
func withoutLargeArgs(task taskqueue.FailedTask) taskqueue.FailedTask {
	if len(task.Args) > taskqueue.MostListedArgs {
		task.Args = nil
	}
	return task
}
