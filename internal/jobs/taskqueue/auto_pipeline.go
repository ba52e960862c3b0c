package taskqueue

import (
	"context"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	pipelinedAtOnce = 100 // most script runs in one round trip
	pipelineDepth   = 2   // round trips at the same time: the next is written while Redis works on one
)

// autoPipeline is a hook of the Redis client that asynq uses. asynq enqueues,
// takes and finishes every task by one script run. The hook sends script runs
// that are requested at the same time in one round trip. When a run gets no reply,
// the hook sends it again, alone and with the retries of the client.
//
// The AutoPipeliner of go-redis is experimental and sends a broken batch again
// as a whole, so that runs with a reply would run twice.
type autoPipeline struct {
	commandHook
	client  *redis.Client // has neither the hook nor retries
	pending chan *scriptRun
	stopped chan struct{}
	senders sync.WaitGroup
}

// scriptRun is a script run on its way to Redis.
type scriptRun struct {
	*redis.Cmd
	replied  bool
	finished chan struct{}
}

// SetErr stores the first result only, which may be no error: after a broken
// round trip, go-redis also sets an error on the commands that have a reply.
func (r *scriptRun) SetErr(err error) {
	if !r.replied {
		r.replied = true
		r.Cmd.SetErr(err)
	}
}

// newAutoPipeline returns a hook for a client with the same options.
func newAutoPipeline(options *redis.Options) *autoPipeline {
	own := *options
	own.MaxRetries = -1
	own.PoolSize = pipelineDepth
	p := &autoPipeline{client: redis.NewClient(&own), pending: make(chan *scriptRun), stopped: make(chan struct{})}
	for range pipelineDepth {
		p.senders.Go(p.send)
	}
	return p
}

// stop ends the pipeline. Later script runs are sent on their own.
func (p *autoPipeline) stop() {
	close(p.stopped)
	p.senders.Wait()
	_ = p.client.Close()
}

// ProcessHook sends script runs through the pipeline.
func (p *autoPipeline) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		script, is := command.(*redis.Cmd)
		if !is || command.Name() != "evalsha" {
			return next(ctx, command)
		}
		// The pipeline gets a copy, because its reply may come after the caller has left.
		run := &scriptRun{Cmd: redis.NewCmd(ctx, script.Args()...), finished: make(chan struct{})}
		select {
		case p.pending <- run:
		case <-p.stopped:
			return next(ctx, command)
		case <-ctx.Done():
			return next(ctx, command)
		}
		select {
		case <-run.finished:
		case <-ctx.Done():
			script.SetErr(ctx.Err())
			return ctx.Err()
		}
		value, err := run.Result()
		if !isAnswer(err) {
			return next(ctx, command)
		}
		script.SetVal(value)
		script.SetErr(err)
		return err
	}
}

// Private

// send sends all pending runs in one round trip, again and again until stop.
func (p *autoPipeline) send() {
	for {
		var batch []*scriptRun
		select {
		case <-p.stopped:
			return
		case first := <-p.pending:
			batch = append(batch, first)
		}
		for more := true; more && len(batch) < pipelinedAtOnce; {
			select {
			case run := <-p.pending:
				batch = append(batch, run)
			default:
				more = false
			}
		}
		// Each command has its own error. A round trip serves many callers, so no
		// caller's context ends it; the timeouts of the client do.
		_, _ = p.client.Pipelined(context.Background(), func(pipe redis.Pipeliner) error {
			for _, run := range batch {
				_ = pipe.Process(context.Background(), run)
			}
			return nil
		})
		for _, run := range batch {
			close(run.finished)
		}
	}
}

// commandHook is the part of a hook that changes nothing. ProcessHook is added by
// the type that embeds it.
type commandHook struct{}

// DialHook changes nothing.
func (commandHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (commandHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
