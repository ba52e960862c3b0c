package taskqueue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Place is a task in a list, after which the next part of the list begins. The
// zero Place is the beginning of every list.
type Place struct {
	ID    string `json:"id,omitempty"`
	Score int64  `json:"score,omitempty"` // of a list that is ordered by time
	Index int    `json:"index,omitempty"` // of another list: where the task was
}

// Places returns up to size tasks of a queue in a state by their places. Pending and
// running tasks begin with the newest, tasks in other states with the one that is due
// first. A list that changes between two calls repeats tasks at most, and leaves out
// none, unless the task of the place is gone from a list of pending or running tasks.
func (i *Inspector) Places(ctx context.Context, queue string, state State, after Place, size int) ([]Place, error) {
	key, listable := listKeys[state]
	if !listable {
		return nil, fmt.Errorf("asynq lists no tasks that are %s", state)
	}
	stored := key(i.namespace.queue(queue))
	if state == Pending || state == Active {
		return i.placesByIndex(ctx, stored, after, size)
	}
	return i.placesByScore(ctx, stored, after, size)
}

// TaskPage is a part of a list of tasks.
type TaskPage struct {
	Tasks []Task // without those that have left the list since
	Read  int    // tasks that were in the list
	Next  Place
	More  bool // the list may go on
}

// List returns the tasks of a part of a list.
func (i *Inspector) List(ctx context.Context, queue string, state State, after Place, size int) (TaskPage, error) {
	places, err := i.Places(ctx, queue, state, after, size)
	if err != nil {
		return TaskPage{}, err
	}
	ids := make([]string, len(places))
	for n, place := range places {
		ids[n] = place.ID
	}
	found, err := i.read(ctx, queue, ids)
	if err != nil {
		return TaskPage{}, err
	}
	page := TaskPage{Read: len(found), Next: after, More: len(places) == size || len(found) < len(places)}
	for n, task := range found {
		page.Next = places[n]
		if task == nil || task.State != state {
			continue
		}
		task.Place = places[n]
		if state == Scheduled || state == Retry {
			task.NextProcessAt = time.Unix(places[n].Score, 0)
		}
		page.Tasks = append(page.Tasks, *task)
	}
	return page, nil
}

// Has reports which tasks of a queue Redis holds.
func (i *Inspector) Has(ctx context.Context, queue string, ids []string) ([]bool, error) {
	sizes, err := i.sizes(ctx, queue, ids)
	if err != nil {
		return nil, err
	}
	has := make([]bool, len(ids))
	for n, size := range sizes {
		has[n] = size > 0
	}
	return has, nil
}

// Private

// listKeys are the keys of the lists and sorted sets of tasks by state. The
// archive of failed and cancelled tasks is in FailedTasks.
var listKeys = map[State]func(queue string) string{
	Pending: pendingKey, Active: activeKey, Scheduled: scheduledKey, Retry: retryKey, Completed: completedKey,
}

func (i *Inspector) placesByIndex(ctx context.Context, key string, after Place, size int) ([]Place, error) {
	reply, err := listPart.Run(ctx, i.client.redis, []string{key}, after.ID, after.Index, size).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("read a list of tasks: %w", ofRedis(err))
	}
	start, err := strconv.Atoi(reply[0])
	if err != nil {
		return nil, fmt.Errorf("read a list of tasks: %w", err)
	}
	places := make([]Place, len(reply)-1)
	for n, id := range reply[1:] {
		places[n] = Place{ID: id, Index: start + n}
	}
	return places, nil
}

func (i *Inspector) placesByScore(ctx context.Context, key string, after Place, size int) ([]Place, error) {
	reply, err := setPart.Run(ctx, i.client.redis, []string{key}, after.ID, after.Score, size).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("read a list of tasks: %w", ofRedis(err))
	}
	places := make([]Place, len(reply)/2)
	for n := range places {
		score, err := strconv.ParseFloat(reply[2*n+1], 64)
		if err != nil {
			return nil, fmt.Errorf("read a list of tasks: %w", err)
		}
		places[n] = Place{ID: reply[2*n], Score: int64(score)}
	}
	return places, nil
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
