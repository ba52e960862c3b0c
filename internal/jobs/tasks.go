package jobs

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"slipway/internal/failopen"
	"slipway/internal/jobs/taskqueue"
)

// Tasks enqueues tasks.
type Tasks struct {
	guard   *failopen.Guard
	jobs    *Jobs // the outbox of durable tasks
	client  *taskqueue.Client
	metrics *Metrics
}

// NewTasks returns an enqueuer that writes to the Redis that guard protects.
// Durable tasks pass through jobs.
func NewTasks(guard *failopen.Guard, jobs *Jobs, metrics *Metrics) (*Tasks, error) {
	client, err := taskqueue.NewClient(guard)
	if err != nil {
		return nil, err
	}
	return &Tasks{guard: guard, jobs: jobs, client: client, metrics: metrics}, nil
}

// Close ends the connections.
func (t *Tasks) Close() error { return t.client.Close() }

// Disabled reports whether the configuration names no Redis.
func (t *Tasks) Disabled() bool { return t.guard.Disabled() }

// Enqueue sends transient tasks to worker-redis and reports whether Redis
// accepted all of them. It drops what Redis does not accept, counts that and
// reports it once a minute. It panics for a durable task, which needs EnqueueTx.
func (t *Tasks) Enqueue(ctx context.Context, tasks ...Args) bool {
	messages := make([]taskqueue.Message, len(tasks))
	for i, task := range tasks {
		if task.Declare().Durable {
			panic(fmt.Sprintf("task %s is durable: enqueue it with EnqueueTx", task.Declare().Kind)) // a programming error
		}
		messages[i] = message(task)
	}
	accepted := true
	for i, outcome := range t.client.Enqueue(ctx, "Tasks.Enqueue", messages...) {
		if outcome == taskqueue.Refused {
			outcome, accepted = "dropped", false
			t.guard.Dropped(messages[i].Kind)
		}
		t.count(messages[i], outcome)
	}
	return accepted
}

// Inspector returns an inspector of the tasks in Redis, and of those that failed
// for good in db. It is nil without Redis.
func (t *Tasks) Inspector(db *pgxpool.Pool) *taskqueue.Inspector {
	return taskqueue.NewInspector(t.client, taskqueue.NewFailedTasks(db), defaultTimeout)
}

// Private

// taskQueues are the queues of tasks. They share the workers, because tasks are
// quick: a queue with a larger weight is asked first more often.
var taskQueues = []taskqueue.Queue{{Name: string(Critical), Weight: 6}, {Name: string(Default), Weight: 3}, {Name: string(Low), Weight: 1}}

// message is a task as its kind declares it.
func message(task Args) taskqueue.Message {
	declaration := task.Declare().withDefaults()
	args, err := json.Marshal(task)
	if err != nil {
		panic(fmt.Sprintf("task %s cannot be JSON: %v", declaration.Kind, err)) // a programming error
	}
	return messageOf(declaration, args)
}

func messageOf(declaration Declaration, args json.RawMessage) taskqueue.Message {
	m := taskqueue.Message{
		Kind: declaration.Kind, Args: args, Queue: string(declaration.Queue),
		Attempts: declaration.Attempts, Timeout: declaration.Timeout,
	}
	switch unique := declaration.Unique; {
	case unique.Within > 0:
		// asynq's own lock ends with the task. An id stays known for the retention.
		period := time.Now().Truncate(unique.Within)
		m.ID = fmt.Sprintf("%s:%d:%x", m.Kind, period.Unix(), sha256.Sum256(args))
		m.Retention = unique.Within
	case unique.Waiting:
		m.UniqueFor = 24 * time.Hour // the lock ends with the task; this bounds the lock of a lost task
	}
	return m
}

// count counts one task that was sent to Redis.
func (t *Tasks) count(m taskqueue.Message, outcome taskqueue.Outcome) {
	t.metrics.enqueued.WithLabelValues(string(Redis), m.Kind, string(outcome)).Inc()
}
