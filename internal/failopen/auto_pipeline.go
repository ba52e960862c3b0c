package failopen

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// PipelinedAtOnce is the largest number of script runs that AutoPipeline sends in one
// round trip.
const PipelinedAtOnce = 100

// AutoPipeline is a hook of a Redis client that sends script runs which are requested
// at the same time in one round trip, and so with fewer system calls on both sides. It
// must be stopped.
//
// The AutoPipeliner of go-redis is experimental and sends a broken batch again
// as a whole, so that runs with a reply would run twice.
type AutoPipeline struct {
	CommandHook
	client  *redis.Client // has neither the hook nor retries
	again   func(error) bool
	pending chan *scriptRun
	stop    sync.Once
	stopped chan struct{}
	senders sync.WaitGroup
}

// NewAutoPipeline returns a hook for a client with the same options. When a run fails
// with an error for which again returns true, the client runs it again, alone and with
// its own retries; nil: never.
func NewAutoPipeline(options *redis.Options, again func(error) bool) *AutoPipeline {
	own := *options
	own.MaxRetries = -1
	// Not a smaller PoolSize: after as many failed dials as that, go-redis does not dial for
	// a second, also when Redis is back.
	own.MinIdleConns = min(own.MinIdleConns, pipelineDepth)
	p := &AutoPipeline{client: redis.NewClient(&own), again: again, pending: make(chan *scriptRun), stopped: make(chan struct{})}
	for range pipelineDepth {
		p.senders.Go(p.send)
	}
	return p
}

// Stop ends the pipeline. Later script runs are sent on their own.
func (p *AutoPipeline) Stop() {
	p.stop.Do(func() {
		close(p.stopped)
		p.senders.Wait()
		_ = p.client.Close()
	})
}

// ProcessHook sends script runs through the pipeline.
func (p *AutoPipeline) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
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
			script.SetErr(fmt.Errorf("%w: %w", errShared, ctx.Err()))
			return script.Err()
		}
		select {
		case <-run.finished:
		case <-ctx.Done():
			script.SetErr(run.ofTrip(ctx.Err()))
			return script.Err()
		}
		value, err := run.Result()
		if err != nil && isNoReply(err) {
			err = run.ofTrip(err)
		}
		if err != nil && p.again != nil && p.again(err) {
			return next(ctx, command)
		}
		script.SetVal(value)
		script.SetErr(err)
		return err
	}
}

// CommandHook is the part of a redis.Hook that changes nothing. ProcessHook is added by
// the type that embeds it.
type CommandHook struct{}

// DialHook changes nothing.
func (CommandHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (CommandHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// Private

// pipelineDepth is the number of round trips at the same time: the next is written while
// Redis works on one.
const pipelineDepth = 2

// errShared says that a run failed with the round trip of another one, whose error is
// the same failure. Counted for each run, one broken connection would look like an outage.
var errShared = errors.New("the round trip of several calls failed")

// errNotSent is the error of a run for whose failure go-redis gives no reason.
var errNotSent = errors.New("the call was not sent")

// scriptRun is a script run on its way to Redis.
type scriptRun struct {
	*redis.Cmd
	replied  bool
	follows  atomic.Bool // it is not the first of its round trip
	finished chan struct{}
}

// ofTrip is the error of a run whose round trip failed.
func (r *scriptRun) ofTrip(err error) error {
	if r.follows.Load() {
		return fmt.Errorf("%w: %w", errShared, err)
	}
	return err
}

func isNoReply(err error) bool {
	var reply redis.Error
	return !errors.As(err, &reply)
}

// SetErr stores the first result only, which may be no error: after a broken
// round trip, go-redis also sets an error on the commands that have a reply.
func (r *scriptRun) SetErr(err error) {
	if !r.replied {
		r.replied = true
		r.Cmd.SetErr(err)
	}
}

// send sends all pending runs in one round trip, again and again until stop.
func (p *AutoPipeline) send() {
	for {
		var batch []*scriptRun
		select {
		case <-p.stopped:
			return
		case first := <-p.pending:
			batch = append(batch, first)
		}
		for more := true; more && len(batch) < PipelinedAtOnce; {
			select {
			case run := <-p.pending:
				run.follows.Store(true)
				batch = append(batch, run)
			default:
				more = false
			}
		}
		// Each command has its own error. A round trip serves many callers, so no
		// caller's context ends it; the timeouts of the client do.
		_, err := p.client.Pipelined(context.Background(), func(pipe redis.Pipeliner) error {
			for _, run := range batch {
				_ = pipe.Process(context.Background(), run)
			}
			return nil
		})
		for _, run := range batch {
			if !run.replied { // go-redis sets no error on commands for which it got no connection
				run.SetErr(cmp.Or(err, errNotSent))
			}
			close(run.finished)
		}
	}
}
