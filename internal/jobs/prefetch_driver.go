package jobs

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Private

// River asks for jobs in each pollInterval, and when it is notified of one. Most of these
// calls do not reach the database: fetches decides.
const (
	pollInterval  = 20 * time.Millisecond // River adds up to 10 ms
	forgottenJobs = time.Second           // the longest time between two fetches: a notification may be lost
)

// insertTopic is the topic of River's notifications of new jobs.
const insertTopic = "river_insert"

// prefetchDriver is River's driver with fetches of a size of our own. River itself
// fetches as many jobs as may run.
type prefetchDriver struct {
	*riverpgxv5.Driver
	queues map[string]*fetches
}

var _ riverdriver.Driver[pgx.Tx] = prefetchDriver{}

func (d prefetchDriver) GetExecutor() riverdriver.Executor {
	return prefetchExecutor{d.Driver.GetExecutor(), d.queues}
}

func (d prefetchDriver) GetListener(params *riverdriver.GetListenenerParams) riverdriver.Listener {
	return prefetchListener{d.Driver.GetListener(params), d.queues}
}

// fetches decide when a queue asks the database, and for how many jobs.
type fetches struct {
	slots    *slots
	notified atomic.Bool // of a new job, since the last fetch

	// Only one fetch of a queue runs at a time, so these need no lock.
	more bool // the last fetch found as many jobs as it asked for
	last time.Time
}

func (f *fetches) due(now time.Time) bool {
	return f.more || f.notified.Load() || now.Sub(f.last) >= forgottenJobs
}

type prefetchExecutor struct {
	riverdriver.Executor
	queues map[string]*fetches
}

func (e prefetchExecutor) JobGetAvailable(
	ctx context.Context, params *riverdriver.JobGetAvailableParams,
) (*riverdriver.JobGetAvailableResult, error) {
	queue, now := e.queues[params.Queue], time.Now()
	room := min(queue.slots.room(now), params.MaxToLock)
	if room <= 0 || !queue.due(now) {
		return &riverdriver.JobGetAvailableResult{}, nil
	}
	queue.notified.Store(false) // before the fetch, which may miss a job that is enqueued meanwhile
	fetch := *params
	fetch.MaxToLock = room
	result, err := e.Executor.JobGetAvailable(ctx, &fetch)
	queue.last, queue.more = now, err == nil && len(result.Jobs) == room
	return result, err
}

// prefetchListener notes which queues have a new job.
type prefetchListener struct {
	riverdriver.Listener
	queues map[string]*fetches
}

func (l prefetchListener) WaitForNotification(ctx context.Context) (*riverdriver.Notification, error) {
	notification, err := l.Listener.WaitForNotification(ctx)
	if err == nil && notification.Topic == insertTopic {
		var insert struct {
			Queue string `json:"queue"`
		}
		if json.Unmarshal([]byte(notification.Payload), &insert) == nil {
			if queue, works := l.queues[insert.Queue]; works {
				queue.notified.Store(true)
			}
		}
	}
	return notification, err
}
