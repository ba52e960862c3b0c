package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"slipway/internal/health"
)

// handleSignals handles the signals of an operator: SIGTSTP makes a worker quiet
// (it fetches no more work, /up stays 200, /ready turns 503), SIGQUIT writes the
// stack of every goroutine to stderr. Quiet is nil for a role that cannot be
// quiet. See run for SIGTERM and SIGINT.
func (p *process) handleSignals(checks *health.Health, quiet func(context.Context)) service {
	// Registered before the role runs: by default SIGTSTP would suspend the process
	// and SIGQUIT would end it.
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTSTP, syscall.SIGQUIT)
	return func(ctx context.Context) error {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return nil
			case received := <-signals:
				if received == syscall.SIGQUIT {
					p.dumpGoroutines()
					continue
				}
				if quiet == nil {
					p.log.Warn("SIGTSTP has no effect on this role; SIGTERM stops it")
					continue
				}
				checks.Retire()
				quiet(ctx)
				quiet = func(context.Context) {} // once
			}
		}
	}
}

// Private

func (p *process) dumpGoroutines() {
	p.log.Warn("SIGQUIT received, the stack of every goroutine follows")
	if err := pprof.Lookup("goroutine").WriteTo(os.Stderr, 2); err != nil {
		p.log.Warn("Stacks of goroutines were not written", "error", err)
	}
}
