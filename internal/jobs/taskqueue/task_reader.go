package taskqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/protobuf/encoding/protowire"
)

// Private

const (
	// readAtOnce is the number of tasks that one round trip reads.
	readAtOnce = 500
	// mostReadBytes bounds the messages of the tasks that a list reads at once.
	mostReadBytes = 16 << 20
)

// read reads tasks in few round trips. It reads the first of them only when they are
// large, but at least one. A task that Redis does not have is nil.
func (i *Inspector) read(ctx context.Context, queue string, ids []string) ([]*Task, error) {
	sizes, err := i.sizes(ctx, queue, ids)
	if err != nil {
		return nil, err
	}
	var bytes int64
	for n, size := range sizes {
		if bytes += size; bytes > mostReadBytes && n > 0 {
			ids = ids[:n]
			break
		}
	}
	tasks := make([]*Task, 0, len(ids))
	for part := range slices.Chunk(ids, readAtOnce) {
		replies := make([]*redis.SliceCmd, len(part))
		_, err := i.client.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for n, id := range part {
				replies[n] = pipe.HMGet(ctx, taskKey(i.namespace.queue(queue), id), messageField, stateField)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read tasks: %w", ofRedis(err))
		}
		for _, reply := range replies {
			task, err := taskIn(queue, reply.Val())
			if err != nil {
				return nil, err
			}
			tasks = append(tasks, task)
		}
	}
	return tasks, nil
}

// sizes returns the size of the message of each task in bytes, zero when Redis does
// not have the task.
func (i *Inspector) sizes(ctx context.Context, queue string, ids []string) ([]int64, error) {
	sizes := make([]int64, 0, len(ids))
	for part := range slices.Chunk(ids, readAtOnce) {
		replies := make([]*redis.IntCmd, len(part))
		_, err := i.client.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
			for n, id := range part {
				replies[n] = pipe.HStrLen(ctx, taskKey(i.namespace.queue(queue), id), messageField)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("measure tasks: %w", ofRedis(err))
		}
		for _, reply := range replies {
			sizes = append(sizes, reply.Val())
		}
	}
	return sizes, nil
}

// messageField is the field of a task's hash that holds its message.
const messageField = "msg"

// taskIn reads the values of messageField and stateField, nil when there is no task.
func taskIn(queue string, values []any) (*Task, error) {
	if len(values) != 2 {
		return nil, nil
	}
	message, _ := values[0].(string)
	state, _ := values[1].(string)
	if message == "" {
		return nil, nil
	}
	task := &Task{Queue: queue, State: State(state)}
	if err := task.decode([]byte(message)); err != nil {
		return nil, fmt.Errorf("read a task of the queue %s: %w", queue, err)
	}
	if task.State == Pending {
		task.NextProcessAt = time.Now()
	}
	return task, nil
}

// The numbers of the fields in the messages of asynq 0.26 (asynq.proto).
const (
	fieldKind         protowire.Number = 1
	fieldArgs         protowire.Number = 2
	fieldID           protowire.Number = 3
	fieldRetry        protowire.Number = 5
	fieldRetried      protowire.Number = 6
	fieldError        protowire.Number = 7
	fieldLastFailedAt protowire.Number = 11
	fieldCompletedAt  protowire.Number = 13
	fieldHeaders      protowire.Number = 15
)

// errMessage means that a message is not one of asynq's.
var errMessage = errors.New("its message cannot be read")

// decode reads a message of asynq, a protocol buffer.
func (t *Task) decode(message []byte) error {
	for len(message) > 0 {
		field, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return errMessage
		}
		message = message[length:]
		switch kind {
		case protowire.BytesType:
			value, length := protowire.ConsumeBytes(message)
			if length < 0 {
				return errMessage
			}
			t.setBytes(field, value)
			message = message[length:]
		case protowire.VarintType:
			value, length := protowire.ConsumeVarint(message)
			if length < 0 {
				return errMessage
			}
			t.setNumber(field, int64(value))
			message = message[length:]
		default:
			if length = protowire.ConsumeFieldValue(field, kind, message); length < 0 {
				return errMessage
			}
			message = message[length:]
		}
	}
	return nil
}

func (t *Task) setBytes(field protowire.Number, value []byte) {
	switch field {
	case fieldKind:
		t.Kind = string(value)
	case fieldArgs:
		t.Args = value
	case fieldID:
		t.ID = string(value)
	case fieldError:
		t.LastError = string(value)
	case fieldHeaders:
		if name, text := headerIn(value); name != "" {
			t.setHeader(name, text)
		}
	}
}

func (t *Task) setNumber(field protowire.Number, value int64) {
	switch field {
	case fieldRetry:
		t.MaxRetry = int(value)
	case fieldRetried:
		t.Retried = int(value)
	case fieldLastFailedAt:
		t.LastFailedAt = time.Unix(value, 0)
	case fieldCompletedAt:
		t.CompletedAt = time.Unix(value, 0)
	}
}

// headerIn reads one entry of the map of headers: its name is field 1, its text
// field 2.
func headerIn(entry []byte) (name, text string) {
	for len(entry) > 0 {
		field, kind, length := protowire.ConsumeTag(entry)
		if length < 0 || kind != protowire.BytesType {
			return name, text
		}
		value, size := protowire.ConsumeBytes(entry[length:])
		if size < 0 {
			return name, text
		}
		if field == 1 {
			name = string(value)
		} else {
			text = string(value)
		}
		entry = entry[length+size:]
	}
	return name, text
}

// setHeader keeps what operators see of a header.
func (t *Task) setHeader(name, text string) {
	if t.Headers == nil {
		t.Headers = map[string]string{}
	}
	t.Headers[name] = text
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		switch name {
		case headerEnqueuedAt:
			t.EnqueuedAt = at
		case headerExpiresAt:
			t.ExpiresAt = at
		}
	}
}
