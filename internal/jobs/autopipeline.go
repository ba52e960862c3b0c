package jobs

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"
)

const (
	pipelinedAtOnce = 100 // what shares a round trip, at most
	pipelineDepth   = 2   // round trips at the same time: while Redis works on one, the next is written
)

// autoPipeline is a hook of a client that asynq works with. Asynq enqueues,
// takes and settles every task by a script run of its own; with the hook, runs
// that are asked for at the same time share a round trip. Those that it leaves
// without an answer are sent again alone, as patiently as the client is.
//
// go-redis has an AutoPipeliner too. It is experimental, and sends a broken
// batch again as a whole: what was answered already would run twice.
type autoPipeline struct {
	commandHook
	client *redis.Client // without the hook, and without second tries
	waits  chan *scriptRun
	done   chan struct{}
	ended  sync.WaitGroup
}

// scriptRun is a command on its way to Redis.
type scriptRun struct {
	*redis.Cmd
	settled bool
	over    chan struct{}
}

// SetErr keeps the first error, which may be none: go-redis blames all commands
// of a broken round trip, also those whose answer it has.
func (r *scriptRun) SetErr(err error) {
	if !r.settled {
		r.settled = true
		r.Cmd.SetErr(err)
	}
}

// newAutoPipeline makes a hook for a client with options.
func newAutoPipeline(options *redis.Options) *autoPipeline {
	own := *options
	own.MaxRetries = -1
	own.PoolSize = pipelineDepth
	p := &autoPipeline{client: redis.NewClient(&own), waits: make(chan *scriptRun), done: make(chan struct{})}
	for range pipelineDepth {
		p.ended.Go(p.send)
	}
	return p
}

// end has all runs sent alone from now on.
func (p *autoPipeline) end() {
	close(p.done)
	p.ended.Wait()
	_ = p.client.Close()
}

// ProcessHook lets runs of scripts share a round trip.
func (p *autoPipeline) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, command redis.Cmder) error {
		script, is := command.(*redis.Cmd)
		if !is || command.Name() != "evalsha" {
			return next(ctx, command)
		}
		// A copy goes to Redis: its answer may come when nobody waits any more.
		run := &scriptRun{Cmd: redis.NewCmd(ctx, script.Args()...), over: make(chan struct{})}
		select {
		case p.waits <- run:
		case <-p.done:
			return next(ctx, command)
		case <-ctx.Done():
			return next(ctx, command)
		}
		select {
		case <-run.over:
		case <-ctx.Done():
			script.SetErr(ctx.Err())
			return ctx.Err()
		}
		value, err := run.Result()
		if err != nil && !errors.Is(err, redis.Nil) && !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return next(ctx, command)
		}
		script.SetVal(value)
		script.SetErr(err)
		return err
	}
}

// Private

// send sends what waits, all of it at once, until done.
func (p *autoPipeline) send() {
	for {
		var batch []*scriptRun
		select {
		case <-p.done:
			return
		case first := <-p.waits:
			batch = append(batch, first)
		}
		for more := true; more && len(batch) < pipelinedAtOnce; {
			select {
			case run := <-p.waits:
				batch = append(batch, run)
			default:
				more = false
			}
		}
		// What goes wrong is with each command. The pipeline is nobody's own: it
		// ends by the timeouts of the client.
		_, _ = p.client.Pipelined(context.Background(), func(pipe redis.Pipeliner) error {
			for _, run := range batch {
				_ = pipe.Process(context.Background(), run)
			}
			return nil
		})
		for _, run := range batch {
			close(run.over)
		}
	}
}

// commandHook is what a hook of single commands has besides ProcessHook.
type commandHook struct{}

// DialHook changes nothing.
func (commandHook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook changes nothing.
func (commandHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
