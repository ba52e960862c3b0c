package taskqueue

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"
)

// Place is a task in a list, after which the next part of the list begins. The
// zero Place is the beginning of every list.
type Place struct {
	ID    string `json:"id,omitempty"`
	Score int64  `json:"score,omitempty"` // of a list that is ordered by time
	Index int    `json:"index,omitempty"` // of another list: where the task was
}

// IDs returns up to size ids of the tasks of a queue in a state, and the Place of
// the last one. Pending and running tasks begin with the newest, tasks in other
// states with the one that is due first. A list that changes between two calls
// repeats tasks at most, and leaves out none, unless the task of the place is
// gone from a list of pending or running tasks.
func (i *Inspector) IDs(ctx context.Context, queue string, state State, after Place, size int) ([]string, Place, error) {
	key, listable := listKeys[state]
	if !listable {
		return nil, after, fmt.Errorf("asynq lists no tasks that are %s", state)
	}
	stored := key(i.namespace.queue(queue))
	if state == Pending || state == Active {
		return i.idsByIndex(ctx, stored, after, size)
	}
	return i.idsByScore(ctx, stored, after, size)
}

// TaskPage is a part of a list of tasks.
type TaskPage struct {
	Tasks []Task // without those that have left the list since
	Next  Place
	More  bool // the list may go on
}

// List returns the tasks of a part of IDs.
func (i *Inspector) List(ctx context.Context, queue string, state State, after Place, size int) (TaskPage, error) {
	ids, next, err := i.IDs(ctx, queue, state, after, size)
	if err != nil {
		return TaskPage{}, err
	}
	found := make([]*Task, len(ids))
	var group errgroup.Group
	group.SetLimit(readAtOnce)
	for n, id := range ids {
		group.Go(func() error {
			task, err := i.Find(queue, id)
			if errors.Is(err, ErrNotFound) {
				return nil
			}
			found[n] = &task
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return TaskPage{}, err
	}
	page := TaskPage{Next: next, More: len(ids) == size}
	for _, task := range found {
		if task != nil && task.State == state {
			page.Tasks = append(page.Tasks, *task)
		}
	}
	return page, nil
}

// Private

// readAtOnce is the number of tasks that are read side by side.
const readAtOnce = 4

// listKeys are the keys of the lists and sorted sets of tasks by state. The
// archive of failed and cancelled tasks is in FailedTasks.
var listKeys = map[State]func(queue string) string{
	Pending: pendingKey, Active: activeKey, Scheduled: scheduledKey, Retry: retryKey, Completed: completedKey,
}

func (i *Inspector) idsByIndex(ctx context.Context, key string, after Place, size int) ([]string, Place, error) {
	reply, err := listPart.Run(ctx, i.client.redis, []string{key}, after.ID, after.Index, size).StringSlice()
	if err != nil {
		return nil, after, fmt.Errorf("read a list of tasks: %w", err)
	}
	start, err := strconv.Atoi(reply[0])
	if err != nil {
		return nil, after, fmt.Errorf("read a list of tasks: %w", err)
	}
	ids := reply[1:]
	if len(ids) == 0 {
		return nil, after, nil
	}
	return ids, Place{ID: ids[len(ids)-1], Index: start + len(ids) - 1}, nil
}

func (i *Inspector) idsByScore(ctx context.Context, key string, after Place, size int) ([]string, Place, error) {
	reply, err := setPart.Run(ctx, i.client.redis, []string{key}, after.ID, after.Score, size).StringSlice()
	if err != nil {
		return nil, after, fmt.Errorf("read a list of tasks: %w", err)
	}
	if len(reply) == 0 {
		return nil, after, nil
	}
	ids := make([]string, 0, len(reply)/2)
	for n := 0; n < len(reply); n += 2 {
		ids = append(ids, reply[n])
	}
	score, err := strconv.ParseFloat(reply[len(reply)-1], 64)
	if err != nil {
		return nil, after, fmt.Errorf("read a list of tasks: %w", err)
	}
	return ids, Place{ID: ids[len(ids)-1], Score: int64(score)}, nil
}

// listPart returns the index of the first id after a place, and the ids from
// there. New tasks move the others towards the end of the list, so it looks for
// the task of the place. It goes on at the old index when that task is gone.
var listPart = redis.NewScript(`
	local start = 0
	if ARGV[1] ~= '' then
		start = tonumber(ARGV[2]) + 1
		if redis.call('LINDEX', KEYS[1], ARGV[2]) ~= ARGV[1] then
			local at = redis.pcall('LPOS', KEYS[1], ARGV[1]) -- Redis before 6.0.6 has no LPOS
			if type(at) == 'number' then start = at + 1 end
		end
	end
	local ids = redis.call('LRANGE', KEYS[1], start, start + tonumber(ARGV[3]) - 1)
	table.insert(ids, 1, tostring(start))
	return ids
`)

// setPart returns the ids after a place, each with its score. Redis orders equal
// scores by the bytes of the ids. A binary search finds the place when its task
// is gone.
var setPart = redis.NewScript(`
	local function after(id, place)
		for n = 1, math.max(#id, #place) do
			local one, other = string.byte(id, n) or -1, string.byte(place, n) or -1
			if one ~= other then return one > other end
		end
		return false
	end
	local low = 0
	if ARGV[1] ~= '' then
		low = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[2])
		local high = redis.call('ZCOUNT', KEYS[1], '-inf', ARGV[2])
		while low < high do
			local middle = math.floor((low + high) / 2)
			if after(redis.call('ZRANGE', KEYS[1], middle, middle)[1], ARGV[1]) then high = middle else low = middle + 1 end
		end
	end
	return redis.call('ZRANGE', KEYS[1], low, low + tonumber(ARGV[3]) - 1, 'WITHSCORES')
`)
