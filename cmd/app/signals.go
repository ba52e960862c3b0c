package main

import (
	"context"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"

	"slipway/internal/health"
)

// heedSignals heeds what an operator asks of a running role: SIGTSTP makes a
// worker quiet (it takes no more work, /up stays 200 and /ready turns 503),
// SIGQUIT writes what every goroutine does to stderr and changes nothing.
// Quiet is nil where there is no such thing. See run for SIGTERM and SIGINT.
func (p *process) heedSignals(checks *health.Health, quiet func(context.Context)) service {
	// Heard from the start: by default SIGTSTP would stop the process and SIGQUIT
	// end it.
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
					p.log.Warn("This role cannot be quiet; SIGTERM stops it")
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
	p.log.Warn("Goroutines follow, as SIGQUIT asks for")
	if err := pprof.Lookup("goroutine").WriteTo(os.Stderr, 2); err != nil {
		p.log.Warn("Goroutines were not written", "error", err)
	}
}
